/** Clients at the sending nodes: send to agents at others through the SDK; what is refused for now is sent again. */

import { pause } from '@fleetwire/kernel';
import { FleetwireError } from '@fleetwire/sdk';
import { connectAll } from './clients.ts';
import { runSender } from './pacer.ts';
import { failed, settings, stampedBody, tell } from './protocol.ts';
import type { RoutedSettings } from './routed-settings.ts';

const { own, to } = settings<RoutedSettings>();
const agents = await connectAll(own);
let next = 0;

/** Its stamp stays that of the first try, and its place in the window is kept. */
async function send(sender: number, name: string, body: Uint8Array): Promise<void> {
  for (;;) {
    try {
      await agents[sender]!.send(name, body);
      return;
    } catch (error) {
      if (!(error instanceof FleetwireError) || error.retryAfterMs === undefined) return failed(error);
      tell({ type: 'refused', reason: error.reason });
      await pause(error.retryAfterMs);
    }
  }
}

runSender((phase, sender) => {
  void send(sender, to[next++ % to.length]!, stampedBody(phase.body_bytes, sender));
});
tell({ type: 'ready' });
