/** Limits how often something may happen: a bucket of tokens that fills at a steady rate. */

import { invariant } from './errors.ts';

/** `tokens` every `perMs` milliseconds, and at most `burst` at once; all positive, whole numbers are exact. */
export interface TokenRate {
  readonly tokens: number;
  readonly perMs: number;
  readonly burst: number;
}

/** `retryAfterMs`: whole milliseconds, at least 1, after which the same take succeeds if nobody else takes. */
export type Taken = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

const TAKEN: Taken = { ok: true };

/**
 * Full at first. Guarantee: in any span of t milliseconds no more than burst + t * tokens / perMs are taken. Times are those
 * of one monotonic clock, whole milliseconds count; a time before the last one counts as that.
 */
export class TokenBucket {
  #rate: TokenRate;
  /** In units of 1/perMs of a token: so refills are sums of whole numbers, and nothing is lost by rounding. */
  #level: number;
  #atMs: number;

  constructor(rate: TokenRate, nowMs: number) {
    invariant(sound(rate), 'a rate has positive numbers');
    this.#rate = rate;
    this.#level = rate.burst * rate.perMs;
    this.#atMs = Math.floor(nowMs);
  }

  get rate(): TokenRate {
    return this.#rate;
  }

  /** All `n` (1 to burst) or none. */
  take(n: number, nowMs: number): Taken {
    invariant(n > 0 && n <= this.#rate.burst, 'a take is of at most what the bucket holds');
    this.#refill(nowMs);
    const { tokens, perMs } = this.#rate;
    const missing = n * perMs - this.#level;
    if (missing > 0) return { ok: false, retryAfterMs: Math.ceil(missing / tokens) };
    this.#level -= n * perMs;
    return TAKEN;
  }

  /** Tokens there now; a part of one counts as such. */
  left(nowMs: number): number {
    this.#refill(nowMs);
    return this.#level / this.#rate.perMs;
  }

  /** True when forgetting it changes nothing: a new one would be as full. */
  full(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#level === this.#rate.burst * this.#rate.perMs;
  }

  /** Another rate from now on; what is missing to a full bucket stays missing, as far as it can be. */
  setRate(rate: TokenRate, nowMs: number): void {
    invariant(sound(rate), 'a rate has positive numbers');
    const { tokens, perMs, burst } = this.#rate;
    if (tokens === rate.tokens && perMs === rate.perMs && burst === rate.burst) return;
    const missing = burst - Math.floor(this.left(nowMs));
    this.#rate = rate;
    this.#level = Math.max(0, rate.burst - missing) * rate.perMs;
  }

  #refill(nowMs: number): void {
    const now = Math.floor(nowMs);
    if (now <= this.#atMs) return;
    const { tokens, perMs, burst } = this.#rate;
    this.#level = Math.min(burst * perMs, this.#level + (now - this.#atMs) * tokens);
    this.#atMs = now;
  }
}

function sound({ tokens, perMs, burst }: TokenRate): boolean {
  return tokens > 0 && perMs > 0 && burst >= 1;
}
