/** Clients at the sending nodes: send to agents at others through the SDK. */

import { connectAll } from './clients.ts';
import { runSender } from './pacer.ts';
import { failed, settings, stampedBody, tell } from './protocol.ts';
import type { RoutedSettings } from './routed-settings.ts';

const { own, to } = settings<RoutedSettings>();
const agents = await connectAll(own);
let next = 0;
runSender((phase, sender) => {
  const body = stampedBody(phase.body_bytes, sender);
  agents[sender]!.send(to[next++ % to.length]!, body).catch(failed);
});
tell({ type: 'ready' });
