/** Tells nodes to hold back: PEER_BUSY in the router's name, at most once. */

import type { Broker } from '@fleetwire/broker';
import { peerSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { PeerFrame } from '@fleetwire/gen/message';
import type { Busy, BusyNotices, BusyReason } from '../domain/busy-notices.ts';
import { SERVICE } from '../domain/items.ts';

export interface PeerFramesOptions {
  readonly broker: Pick<Broker, 'publish' | 'clock'>;
  readonly notices: BusyNotices;
}

export class PeerFrames {
  /** Frames sent since the start. */
  readonly sent: Record<BusyReason, number> = {
    inbox_full: 0,
    rate_limited: 0,
    unfair_share: 0,
    ingress_budget: 0,
  };
  readonly #o: PeerFramesOptions;
  #seq = 0;

  constructor(options: PeerFramesOptions) {
    this.#o = options;
  }

  /** Waits for the next flush, unless it was told within `everyMs`. `nowMs`: broker time. */
  note(busy: Busy, everyMs: number, nowMs: number): void {
    this.#o.notices.note(busy, everyMs, nowMs);
  }

  /** Sends what waits. Never throws: a frame that is lost costs a moment. */
  flush(): void {
    for (const busy of this.#o.notices.take()) this.send(busy);
  }

  /** At once, for who says it no more often than it helps. Never throws. */
  send(busy: Busy): void {
    const { org, node: to, reason, retryAfterMs, about } = busy;
    const named = about && {
      agent: about.agent,
      name: about.name,
      node: about.node,
      nodeName: about.nodeName,
    };
    // All routers are one publisher: the broker's time, which they share, grows across them, and across restarts.
    this.#seq = Math.max(this.#seq + 1, Math.floor(this.#o.broker.clock.nowUs()));
    const frame = { busy: { ...named, reason, retryAfterMs: Math.ceil(retryAfterMs), seq: this.#seq } };
    try {
      const subject = peerSubject.build({ org, to, from: SERVICE });
      this.#o.broker.publish(subject, encode(PeerFrame, PeerFrame.fromPartial(frame)));
      this.sent[reason]++;
    } catch {
      // Not connected: whoever floods is heard of again.
    }
  }
}
