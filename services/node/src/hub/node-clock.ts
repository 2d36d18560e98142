/** The broker's time as this node knows it: its own clock and an offset that the hub corrects. */

import { type Clock, systemClock } from '@fleetwire/kernel';

export class NodeClock implements Clock {
  #offsetUs: number;

  /** `offsetUs`: what was last known, so that a start without the hub is not far off. */
  constructor(offsetUs = 0) {
    this.#offsetUs = offsetUs;
  }

  get offsetUs(): number {
    return this.#offsetUs;
  }

  nowUs(): number {
    return systemClock.nowUs() + this.#offsetUs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  /** `brokerTimeUs` was read by the hub somewhere within a round trip that took `roundTripMs` and ends now. */
  learn(brokerTimeUs: number, roundTripMs: number): void {
    if (brokerTimeUs <= 0) return;
    this.#offsetUs = Math.round(brokerTimeUs + (roundTripMs * 1000) / 2 - systemClock.nowUs());
  }
}
