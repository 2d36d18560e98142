/** Tells a node to send a heartbeat now, since its answer has news. */

import type { Broker } from '@fleetwire/broker';
import { peerSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { PeerFrame } from '@fleetwire/gen/message';

/** Best effort: one that is lost costs the time until the next heartbeat. Never throws. */
export function nudge(broker: Pick<Broker, 'publish'>, org: string, node: string, why: string): void {
  try {
    const subject = peerSubject.build({ org, to: node, from: 'registry' });
    broker.publish(subject, encode(PeerFrame, PeerFrame.fromPartial({ nudge: why })));
  } catch {
    // Not connected, or no subject token: the next heartbeat says the same.
  }
}
