/** Makes history searchable in the background: behind the writing of it, and with little of the machine while that is busy. */

import type { Clock } from '@fleetwire/kernel';
import { causeChain, pause } from '@fleetwire/kernel';
import { Rounds } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { isUnreadable } from '../domain/poison.ts';
import {
  dropWords,
  type Indexed,
  indexWords,
  nextWords,
  type QueuedWords,
  tidyWords,
} from '../store/word-table.ts';

export interface IndexerLimits {
  /** Wait while there is nothing to do. */
  readonly idleMs: number;
  /** From so many messages written a second on it takes only its share of the time. */
  readonly busyRows: number;
  /** Percent of the time that it works while messages come in like that. */
  readonly sharePercent: number;
}

export interface IndexerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: IndexerLimits;
  /** One replica does it for all. */
  readonly leads: () => boolean;
  /** Messages written so far by this process. */
  readonly written: () => number;
  readonly log: Logger;
}

/** Percent of the time that it works in quiet times. */
const QUIET_SHARE = 70;
const RATE_MS = 250;
const PAUSE_MAX_MS = 10_000;
const TRIES_MAX = 5;

export class WordIndexer {
  readonly name = 'search';
  readonly stats = { indexed: 0, refused: 0, runs: 0, busy: false };
  readonly #o: IndexerOptions;
  readonly #rounds: Rounds;
  #tidy = true;
  #rate = { atMs: 0, written: 0 };
  /** The row of the queue that failed last, and how often. */
  #tried = 0;
  #tries = 0;

  constructor(options: IndexerOptions) {
    this.#o = options;
    const work = (stopping: AbortSignal) => this.#work(stopping);
    this.#rounds = new Rounds({ name: this.name, intervalMs: options.limits.idleMs, log: options.log, work });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  /** Until nothing waits; then what was written is tidied, once. */
  async #work(stopping: AbortSignal): Promise<void> {
    while (!stopping.aborted && this.#o.leads()) {
      const started = performance.now();
      if ((await this.#step()) === 0) {
        if (!this.#tidy) await tidyWords(this.#o.store);
        this.#tidy = true;
        return;
      }
      this.#tidy = false;
      await pause(this.#pauseAfter(performance.now() - started), stopping);
    }
  }

  async #step(): Promise<number> {
    const next = await nextWords(this.#o.store);
    if (next === undefined) return 0;
    const { messages, refused } = await this.#index(next);
    this.stats.indexed += messages - refused;
    this.stats.refused += refused;
    this.stats.runs++;
    return messages;
  }

  /** What cannot be read, try after try, must not keep all that is behind it from being found. */
  async #index(next: QueuedWords): Promise<Indexed> {
    const { store, log } = this.#o;
    try {
      return await indexWords(store, next);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#tries = this.#tried === next.seq ? this.#tries + 1 : 1;
      this.#tried = next.seq;
      if (this.#tries < TRIES_MAX) throw error;
      const messages = await dropWords(store, next);
      log.error(
        { messages, cause: causeChain(error) },
        'messages cannot be made searchable, and never will be',
      );
      return { messages, refused: messages };
    }
  }

  #pauseAfter(workedMs: number): number {
    const share = this.#busy() ? this.#o.limits.sharePercent : QUIET_SHARE;
    return Math.min(PAUSE_MAX_MS, workedMs * (100 / share - 1));
  }

  /** By what was written since it was last looked at, a quarter of a second ago or more. */
  #busy(): boolean {
    const nowMs = this.#o.clock.monotonicMs();
    const passedMs = nowMs - this.#rate.atMs;
    if (passedMs < RATE_MS) return this.stats.busy;
    const written = this.#o.written();
    this.stats.busy = ((written - this.#rate.written) * 1000) / passedMs >= this.#o.limits.busyRows;
    this.#rate = { atMs: nowMs, written };
    return this.stats.busy;
  }
}
