/** Turns at something scarce: everybody's in order, all in rotation, and nobody has the last one while others may come. */

import { Deque, FleetwireError } from '@fleetwire/kernel';

export interface FairTurnsOptions {
  /** At the same time. */
  readonly turns: number;
  /** Who may wait behind one's own turns, and for how long. */
  readonly waitingEach: number;
  readonly waitMs: number;
}

interface Waiter {
  begin(): void;
  gone: boolean;
}

interface Asker {
  running: number;
  readonly waiting: Deque<Waiter>;
}

export class FairTurns {
  readonly #options: FairTurnsOptions;
  /** Those that have a turn or wait for one; the one that was served last is the last. */
  readonly #askers = new Map<string, Asker>();
  #running = 0;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
  }

  /** Rejects with resource_exhausted STORE_BUSY when too many of `who` wait, or the time is over; else as `work` does. */
  async run<T>(who: string, work: () => Promise<T>): Promise<T> {
    const asker = this.#askers.get(who) ?? { running: 0, waiting: new Deque<Waiter>() };
    this.#askers.set(who, asker);
    if (this.#mayBegin(asker)) this.#begin(asker);
    else await this.#wait(asker);
    try {
      return await work();
    } finally {
      asker.running--;
      this.#running--;
      if (asker.running === 0 && asker.waiting.length === 0) this.#askers.delete(who);
      this.#next();
    }
  }

  #mayBegin({ running }: Asker): boolean {
    const { turns } = this.#options;
    return this.#running < turns && running < Math.max(1, turns - 1);
  }

  #begin(asker: Asker): void {
    asker.running++;
    this.#running++;
  }

  #wait(asker: Asker): Promise<void> {
    const { waitingEach, waitMs } = this.#options;
    dropGone(asker);
    if (asker.waiting.length >= waitingEach) throw busy();
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        waiter.gone = true;
        reject(busy());
      }, waitMs);
      const waiter: Waiter = {
        gone: false,
        begin: () => {
          clearTimeout(late);
          resolve();
        },
      };
      asker.waiting.push(waiter);
    });
  }

  /** As many as may begin now, beginning with who was not served for the longest time. */
  #next(): void {
    for (const [who, asker] of this.#askers) {
      dropGone(asker);
      if (asker.waiting.length === 0) {
        if (asker.running === 0) this.#askers.delete(who);
        continue;
      }
      if (!this.#mayBegin(asker)) continue;
      this.#begin(asker);
      this.#askers.delete(who);
      this.#askers.set(who, asker);
      asker.waiting.shift()!.begin();
    }
  }
}

/** All wait equally long, so those that were late are the first. */
function dropGone({ waiting }: Asker): void {
  while (waiting.at(0)?.gone === true) waiting.shift();
}

const busy = () =>
  new FleetwireError('resource_exhausted', 'STORE_BUSY', 'too many questions wait for the database', {
    help: 'Ask fewer at the same time, or narrower ones, and try again in a moment.',
    retryAfterMs: 1000,
  });
