/** When the next heartbeat is due: after its interval, or at once when somebody asks. */

import { pause } from '@fleetwire/kernel';

/** Heartbeats that are asked for are at least so far apart, however many ask. */
const NUDGED_MS = 100;

export class Pulse {
  readonly #monotonicMs: () => number;
  #waiting = new AbortController();
  readonly #ended = new AbortController();
  #nudged = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** There may be news: the next heartbeat is due now, or as soon as the last one is long enough ago. */
  nudge(): void {
    this.#nudged = true;
    this.#waiting.abort();
  }

  /** No heartbeat is due any more. */
  end(): void {
    this.#ended.abort();
    this.#waiting.abort();
  }

  /** Resolves when one is due, or when it has ended. */
  async next(ms: number): Promise<void> {
    if (this.#ended.signal.aborted) return;
    if (!this.#nudged) {
      this.#waiting = new AbortController();
      await pause(ms, this.#waiting.signal);
    }
    if (this.#nudged) {
      const gapMs = this.#lastMs + NUDGED_MS - this.#monotonicMs();
      if (gapMs > 0) await pause(gapMs, this.#ended.signal);
    }
    this.#nudged = false;
    this.#lastMs = this.#monotonicMs();
  }
}
