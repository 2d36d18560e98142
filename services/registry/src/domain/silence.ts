/** For how long nodes are silent, as seen without a break: while the broker was away nobody could be heard of. */

import type { Clock } from '@fleetwire/kernel';

export class Silence {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #enoughMs: number;
  /** Since when each is seen silent, in the milliseconds of the process. */
  #since = new Map<string, number>();
  #brokenAtMs: number;

  /** `enoughMs`: such as two livenesses, in which whoever is there is heard of. */
  constructor(clock: Pick<Clock, 'monotonicMs'>, enoughMs: number) {
    this.#clock = clock;
    this.#enoughMs = enoughMs;
    this.#brokenAtMs = clock.monotonicMs();
  }

  /** What was seen so far does not count any more: there was a break. */
  break(): void {
    this.#since.clear();
    this.#brokenAtMs = this.#clock.monotonicMs();
  }

  /** For how long everybody could be heard of. */
  get unbrokenMs(): number {
    return this.#clock.monotonicMs() - this.#brokenAtMs;
  }

  heard(node: string): void {
    this.#since.delete(node);
  }

  /** All others are heard of. */
  retain(nodes: Iterable<string>): void {
    const silent = new Set(nodes);
    for (const node of this.#since.keys()) if (!silent.has(node)) this.#since.delete(node);
  }

  /** The node is silent at this look; true when it has been for long enough. */
  isLong(node: string): boolean {
    const now = this.#clock.monotonicMs();
    const since = this.#since.get(node) ?? now;
    this.#since.set(node, since);
    return now - since >= this.#enoughMs;
  }
}
