/** Clients at the receiving nodes: take every message and acknowledge it through the SDK. */

import { connectAll } from './clients.ts';
import { createMeter } from './meter.ts';
import { settings, tell } from './protocol.ts';
import type { RoutedSettings } from './routed-settings.ts';

const { own, queue } = settings<RoutedSettings>();
const meter = createMeter();
const agents = await connectAll(own, { queue });
const loops = agents.map(async (agent) => {
  for await (const message of agent.messages()) {
    message.ack();
    meter.received(message.body);
  }
});
tell({ type: 'ready' });
await Promise.all(loops);
