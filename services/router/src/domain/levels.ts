/** The four levels of priority, and how they take turns: the higher more often, each of them for certain. */

import { Priority } from '@fleetwire/gen/message';

/** 0 low, 1 normal, 2 high, 3 system. */
export type Level = 0 | 1 | 2 | 3;
export const NORMAL: Level = 1;

/** How far each level moves on with a turn, lowest level first: of 15 turns that all of them want they have 1, 2, 4 and 8. */
const STRIDES = [8, 4, 2, 1] as const;

/**
 * A level that waits is next once in so many turns at least: until the lowest has moved on by its 8, the others have 8 / stride
 * + 1 turns each.
 */
export const LEVEL_TURNS = 18;

/** Of Envelope.priority; numbers that this version does not know count as normal. */
export function levelOf(priority: number): Level {
  switch (priority) {
    case Priority.LOW:
      return 0;
    case Priority.HIGH:
      return 2;
    case Priority.SYSTEM:
      return 3;
    default:
      return NORMAL;
  }
}

/** The highest level of a set, given as bits: 1 << level. -1 when it is empty. */
export function highest(present: number): number {
  return 31 - Math.clz32(present);
}

/**
 * Stride scheduling: who is least far is next, the higher level among equals. Levels are a set of bits, 1 << level.
 * Guarantee: one that is always in the set is next once in LEVEL_TURNS turns at least, whatever the others do.
 */
export class LevelTurns {
  readonly #at = [0, 0, 0, 0];
  /** Where the last one was that was next: who comes back begins there, so that nobody saves up turns. */
  #now = 0;

  /** Whose turn it is, of a set that is not empty; changes nothing. */
  next(present: number): Level {
    let best = highest(present) as Level;
    if (present === 1 << best) return best;
    for (let level = best - 1; level >= 0; level--) {
      if ((present & (1 << level)) !== 0 && this.#of(level as Level) < this.#of(best)) best = level as Level;
    }
    return best;
  }

  /** The level that `next` gave has had its turn. */
  took(level: Level): void {
    this.#now = this.#of(level);
    this.#at[level] = this.#now + STRIDES[level];
  }

  #of(level: Level): number {
    return Math.max(this.#at[level]!, this.#now);
  }
}
