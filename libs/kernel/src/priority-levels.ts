/** Levels of priority, and whose turn it is when messages of several levels wait: the higher ones more often, none never. */

/** Index of a level: 0 low, 1 normal, 2 high, 3 system. */
export type PriorityLevel = 0 | 1 | 2 | 3;

/** Of each level, by its index: of 15 messages taken while all levels wait, so many are of it. */
export const PRIORITY_WEIGHTS = [1, 2, 4, 8] as const;

/** From the highest to the lowest. */
export const PRIORITY_LEVELS = [3, 2, 1, 0] as const;

export const NORMAL_LEVEL: PriorityLevel = 1;

/** The level of a Priority as in message.proto (1 low to 4 system); anything else, 0 (not said) included, is normal. */
export function priorityLevelOf(priority: number): PriorityLevel {
  return priority === 1 || priority === 3 || priority === 4
    ? ((priority - 1) as PriorityLevel)
    : NORMAL_LEVEL;
}

/**
 * Smooth weighted round robin (as nginx does it) over the levels that wait. Guarantees: while the same levels wait, each is
 * taken in proportion to its weight, once in 15 times at least; whatever comes and goes besides, a level that goes on
 * waiting is taken within 30 times; one that does not wait saves nothing up. Of levels due alike the higher one goes first.
 */
export class PriorityTurns {
  readonly #current = [0, 0, 0, 0];

  /** The level to take from; `waiting` has bit 1 << level set for each level that waits. Undefined: none. Changes nothing. */
  next(waiting: number): PriorityLevel | undefined {
    let best: PriorityLevel | undefined;
    let most = Number.NEGATIVE_INFINITY;
    for (const level of PRIORITY_LEVELS) {
      if ((waiting & (1 << level)) === 0) continue;
      const due = this.#current[level]! + PRIORITY_WEIGHTS[level];
      if (due > most) {
        most = due;
        best = level;
      }
    }
    return best;
  }

  /** One message of `level` was taken while those of `waiting`, that one included, waited. */
  took(level: PriorityLevel, waiting: number): void {
    let total = 0;
    for (const other of PRIORITY_LEVELS) {
      if ((waiting & (1 << other)) === 0) this.#current[other] = 0;
      else {
        this.#current[other]! += PRIORITY_WEIGHTS[other];
        total += PRIORITY_WEIGHTS[other];
      }
    }
    this.#current[level]! -= total;
  }
}
