/** Looks for durables that nobody pulls any more, of the partitions that this replica routes. */

import { causeChain, repeatEvery } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { PartitionWorker } from './partition-worker.ts';
import { type Consumers, removePassed } from './take-over.ts';

export interface StrayDurablesOptions {
  readonly consumers: Pick<Consumers, 'list' | 'remove'>;
  readonly workers: () => readonly Pick<PartitionWorker, 'partition' | 'epoch' | 'state'>[];
  /** Between two looks, milliseconds. */
  readonly intervalMs: number;
  readonly log: Logger;
}

export class StrayDurables {
  readonly name = 'stray durables';
  readonly #o: StrayDurablesOptions;
  readonly #stopping = new AbortController();

  constructor(options: StrayDurablesOptions) {
    this.#o = options;
  }

  start(): void {
    void repeatEvery(this.#o.intervalMs, this.#stopping.signal, () => this.#look());
  }

  /** Does not wait for an answer that is under way. */
  stop(): void {
    this.#stopping.abort();
  }

  async #look(): Promise<void> {
    const { consumers, log } = this.#o;
    try {
      const gone = await removePassed(consumers, () => this.#held());
      if (gone.length > 0) log.warn({ durables: gone }, 'durables that no router pulled were removed');
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      log.warn({ error: causeChain(error) }, 'could not look for durables that no router pulls');
    }
  }

  /** Of a partition that is still being taken over, the older durables are all that keeps its mail. */
  #held(): ReadonlyMap<number, number> {
    const routing = this.#o.workers().filter(({ state }) => state === 'routing');
    return new Map(routing.map(({ partition, epoch }) => [partition, epoch]));
  }
}
