/** The frames that nodes send one another, as the hub of a test hears them. */

import type { Broker } from '@fleetwire/broker';
import { filters, peerSubject } from '@fleetwire/contract';
import { PeerFrame } from '@fleetwire/gen/message';

export interface HeardFrame {
  /** Ids of nodes. */
  readonly to: string;
  readonly from: string;
  readonly frame: PeerFrame;
}

/** From now on, in the order in which they come. */
export function hearFrames(broker: Broker): readonly HeardFrame[] {
  const heard: HeardFrame[] = [];
  broker.subscribe(filters.allFrames, ({ subject, data }) => {
    const { to = '', from = '' } = peerSubject.parse(subject) ?? {};
    heard.push({ to, from, frame: PeerFrame.decode(data) });
  });
  return heard;
}
