/** Ranges of message ids in which a list is read, newest first: one partition, then several, or all that is left. */

/** Greater than any id. */
export const ABOVE_ALL = '~';

/** From the first id on, up to but without the second. */
export interface IdWindow {
  readonly from: string;
  readonly below: string;
}

/** Each window has so many times as many partitions as those before it. */
const GROWTH = 3;

/**
 * All of [from, below) in order. `starts` are the least ids of partitions, in any order; `now` is what ids of this moment
 * begin with, so that the first window is the partition that is being written, with all that clocks have put beyond it.
 * Most lists end within it, and a statement for one partition is much cheaper, to plan already, than one for all.
 */
export class IdWindows {
  /** Descending. */
  readonly #cuts: readonly string[];
  readonly #from: string;
  #below: string | undefined;
  #used = 0;

  constructor(starts: readonly string[], now: string, { from, below }: IdWindow) {
    const newest = below < now ? below : now;
    const cuts = [...new Set(starts)].filter((start) => start !== '' && start < newest && start > from);
    this.#cuts = cuts.sort((a, b) => (a < b ? 1 : -1));
    this.#from = from;
    this.#below = below;
  }

  /** `sparse`: the ones before had little, so that all the rest is one. Undefined behind the last. */
  next(sparse: boolean): IdWindow | undefined {
    if (this.#below === undefined) return undefined;
    const size = sparse ? this.#cuts.length + 1 : Math.max(1, this.#used * GROWTH);
    this.#used += size;
    const from = this.#cuts[this.#used - 1];
    const window = { from: from ?? this.#from, below: this.#below };
    this.#below = from;
    return window;
  }
}
