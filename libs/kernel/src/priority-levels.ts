/** Levels of priority, and whose turn it is when messages of several levels wait: the higher more often, each for certain. */

/** Index of a level: 0 low, 1 normal, 2 high, 3 system. A set of levels is a number with the bit 1 << level of each. */
export type PriorityLevel = 0 | 1 | 2 | 3;

/** From the highest to the lowest. */
export const PRIORITY_LEVELS = [3, 2, 1, 0] as const;

export const NORMAL_LEVEL: PriorityLevel = 1;

/** How long one message of a level counts: of 15 turns that all levels want they have 1, 2, 4 and 8. */
const STRIDES = [8, 4, 2, 1] as const;

/**
 * A level that waits is next once in so many turns at least: the lowest is due 8 later, and until then each of the others has
 * 8 / stride + 1 turns.
 */
export const PRIORITY_TURNS = 18;

/** The level of a Priority as in message.proto (1 low to 4 system); anything else, 0 (not said) included, is normal. */
export function priorityLevelOf(priority: number): PriorityLevel {
  return priority === 1 || priority === 3 || priority === 4
    ? ((priority - 1) as PriorityLevel)
    : NORMAL_LEVEL;
}

/** The highest of a set of levels; -1 when it is empty. */
export function highestLevel(waiting: number): number {
  return 31 - Math.clz32(waiting);
}

/**
 * Stride scheduling by when a turn ends (self-clocked fair queueing): a level is due one stride after it began to wait or had
 * its last turn; who is due first is next, the higher level among equals. Guarantees: while the same levels wait, they share
 * 1 : 2 : 4 : 8; one that goes on waiting is next once in PRIORITY_TURNS turns at least, whatever the others do; one that
 * does not wait saves nothing up; where few wait, the higher ones go first.
 */
export class PriorityTurns {
  /** When the last one that was next was due. */
  #now = 0;
  /** Who waited then already, and is due as #due says; who comes is due one stride from now. */
  #waited = 0;
  readonly #due = [0, 0, 0, 0];

  /** Whose turn it is, of a set that is not empty; the same for the same set until `took`. */
  next(waiting: number): PriorityLevel {
    let best = highestLevel(waiting) as PriorityLevel;
    if (waiting === 1 << best) return best;
    let first = this.#dueOf(best);
    for (let level = best - 1; level >= 0; level--) {
      if ((waiting & (1 << level)) === 0) continue;
      const due = this.#dueOf(level as PriorityLevel);
      if (due >= first) continue;
      first = due;
      best = level as PriorityLevel;
    }
    return best;
  }

  /** The level that `next` gave for this set has had its turn. */
  took(level: PriorityLevel, waiting: number): void {
    const others = waiting & ~(1 << level);
    if (others !== 0) {
      for (const other of PRIORITY_LEVELS)
        if ((others & (1 << other)) !== 0) this.#due[other] = this.#dueOf(other);
      this.#now = this.#dueOf(level);
    }
    this.#waited = others;
  }

  /** Goes on from here by itself: for who wants to know what will come. */
  copy(): PriorityTurns {
    const copy = new PriorityTurns();
    copy.#now = this.#now;
    copy.#waited = this.#waited;
    for (const level of PRIORITY_LEVELS) copy.#due[level] = this.#due[level]!;
    return copy;
  }

  #dueOf(level: PriorityLevel): number {
    return (this.#waited & (1 << level)) !== 0 ? this.#due[level]! : this.#now + STRIDES[level];
  }
}
