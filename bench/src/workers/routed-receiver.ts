/** Clients at the other node: take every message and acknowledge it through the SDK. */

import { connect } from '@fleetwire/sdk';
import { createMeter } from './meter.ts';
import { settings, tell } from './protocol.ts';
import type { RoutedSettings } from './routed-settings.ts';

const { address, token, receivers } = settings<RoutedSettings>();
const meter = createMeter();
const agents = await Promise.all(receivers.map((name) => connect({ address, token, name })));
const loops = agents.map(async (agent) => {
  for await (const message of agent.messages()) {
    message.ack();
    meter.received(message.body);
  }
});
tell({ type: 'ready' });
await Promise.all(loops);
