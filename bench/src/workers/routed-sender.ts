/** A client at one node: sends to agents at another through the SDK. */

import { connect } from '@fleetwire/sdk';
import { runSender } from './pacer.ts';
import { settings, stampedBody, tell } from './protocol.ts';
import type { RoutedSettings } from './routed-settings.ts';

const { address, token, sender, receivers } = settings<RoutedSettings>();
const agent = await connect({ address, token, name: sender });
let next = 0;
runSender((phase) => {
  const to = receivers[next++ % receivers.length]!;
  agent.send(to, stampedBody(phase.body_bytes)).catch((error: unknown) => {
    tell({ type: 'failed', error: String(error) });
  });
});
tell({ type: 'ready' });
