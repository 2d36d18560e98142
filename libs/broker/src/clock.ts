/** The broker's time: this process's monotonic clock and how far the broker's is from it. */

import { randomBytes } from 'node:crypto';
import { LEASE_KEYS, LEASES_BUCKET } from '@fleetwire/contract';
import type { Clock } from '@fleetwire/kernel';
import { FleetwireError, systemClock } from '@fleetwire/kernel';
import type { Bucket } from './bucket.ts';
import type { Link } from './link.ts';

export interface BrokerClock extends Clock {
  /** Microseconds to add to this process's clock; 0 until it is measured or set. */
  readonly offsetUs: number;
  /** What somebody else measured, such as a node's hub. */
  set(offsetUs: number): void;
  /**
   * Measures by writing to the leases bucket and reading back when the broker stored it; wrong by half the shortest
   * round trip at most. From then on measured again every minute and after every reconnect, until `set`.
   */
  measure(): Promise<void>;
}

const SAMPLES = 5;
const AGAIN_MS = 60_000;

export class MeasuredClock implements BrokerClock {
  readonly #base: Clock;
  readonly #link: Link;
  readonly #bucket: () => Promise<Bucket>;
  readonly #key: string;
  #offsetUs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(link: Link, bucket: () => Promise<Bucket>, base: Clock = systemClock) {
    this.#link = link;
    this.#bucket = bucket;
    this.#base = base;
    this.#key = LEASE_KEYS.clock(randomBytes(8).toString('hex'));
    link.onUp(() => {
      if (this.#timer !== undefined) this.#measureAgain();
    });
    link.onClosed(() => this.#forget());
  }

  get offsetUs(): number {
    return this.#offsetUs;
  }

  nowUs(): number {
    return this.#base.nowUs() + this.#offsetUs;
  }

  monotonicMs(): number {
    return this.#base.monotonicMs();
  }

  set(offsetUs: number): void {
    this.#forget();
    this.#offsetUs = Math.round(offsetUs);
  }

  async measure(): Promise<void> {
    const bucket = await this.#bucket();
    let best = Number.POSITIVE_INFINITY;
    let offset = 0;
    for (let n = 0; n < SAMPLES; n++) {
      const before = this.#base.nowUs();
      const revision = await bucket.put(this.#key, new Uint8Array(0));
      const after = this.#base.nowUs();
      const entry = await bucket.get(this.#key);
      if (entry?.revision !== revision || after - before >= best) continue;
      best = after - before;
      offset = entry.storedAtUs - (before + after) / 2;
    }
    if (best === Number.POSITIVE_INFINITY)
      throw new FleetwireError(
        'unavailable',
        'CLOCK_NOT_MEASURED',
        `${LEASES_BUCKET.name} gave no time back`,
      );
    this.#offsetUs = Math.round(offset);
    await bucket.delete(this.#key).catch(() => undefined); // it lapses by itself
    this.#timer ??= setInterval(() => this.#measureAgain(), AGAIN_MS).unref();
  }

  /** The old offset stays when it cannot be measured now. */
  #measureAgain(): void {
    if (this.#link.up) this.measure().catch(() => undefined);
  }

  #forget(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
