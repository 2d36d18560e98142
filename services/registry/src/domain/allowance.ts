/** How often each of many may do something: a bucket of tokens each, of which only so many are remembered. */

import { keepNewest } from '@fleetwire/kernel';

export interface AllowanceOptions {
  /** At once. */
  readonly burst: number;
  /** Milliseconds until there is one more. */
  readonly everyMs: number;
  /** Remembered at most; who was forgotten starts afresh. */
  readonly max: number;
}

interface Used {
  /** When its bucket is full again, milliseconds of a monotonic clock. */
  fullAtMs: number;
  /** It was refused since its bucket was last full: an episode. */
  refused: boolean;
}

export class Allowance {
  readonly #options: AllowanceOptions;
  /** Least recently used first. */
  readonly #used = new Map<string, Used>();
  #refused = 0;

  constructor(options: AllowanceOptions) {
    this.#options = options;
  }

  /** Undefined: it may, `count` times. Else how long to wait, and whether this is the first refusal of an episode. */
  take(
    who: string,
    nowMs: number,
    count = 1,
  ): { readonly waitMs: number; readonly first: boolean } | undefined {
    const { burst, everyMs, max } = this.#options;
    const used = this.#used.get(who) ?? { fullAtMs: nowMs, refused: false };
    this.#used.delete(who);
    this.#used.set(who, used);
    keepNewest(this.#used, max);
    if (used.fullAtMs <= nowMs) used.refused = false;
    const fullAtMs = Math.max(used.fullAtMs, nowMs) + count * everyMs;
    const waitMs = Math.ceil(fullAtMs - nowMs - burst * everyMs);
    if (waitMs <= 0) {
      used.fullAtMs = fullAtMs;
      return undefined;
    }
    this.#refused++;
    const first = !used.refused;
    used.refused = true;
    return { waitMs, first };
  }

  /** Refusals since the start. */
  get refused(): number {
    return this.#refused;
  }
}
