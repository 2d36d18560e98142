/** What waits for one agent, by priority: first in first out within a level, and every level gets its share of the turns. */

import { Priority } from '@fleetwire/gen/message';
import { Deque } from './deque.ts';

/** Index into WEIGHTS: 0 is SYSTEM, 3 is LOW. */
export type Level = 0 | 1 | 2 | 3;
export const LEVELS: readonly Level[] = [0, 1, 2, 3];
export const NORMAL: Level = 2;
/** How many messages of each level go out in one round while all of them wait. */
const WEIGHTS: readonly number[] = [8, 4, 2, 1];

/** Anything that is none of the known priorities counts as NORMAL. */
export function levelOf(priority: Priority): Level {
  if (priority === Priority.SYSTEM) return 0;
  if (priority === Priority.HIGH) return 1;
  return priority === Priority.LOW ? 3 : NORMAL;
}

interface Leveled {
  readonly level: Level;
  readonly seq: number;
}

/**
 * A round gives each level as many turns as its weight, the highest level first; a level with nothing to say gives its turns
 * up. So a message at the head of its level waits for fewer than 30 others: two rounds.
 */
export class Levels<T extends Leveled> {
  readonly #deques: readonly Deque<T>[] = LEVELS.map(() => new Deque<T>());
  readonly #turns = [...WEIGHTS];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    this.#deques[item.level]!.push(item);
    this.#length++;
  }

  /** Puts it before all of its level, where it was. */
  unshift(item: T): void {
    const deque = this.#deques[item.level]!;
    const rest = deque.take(() => true);
    deque.push(item);
    for (const other of rest) deque.push(other);
    this.#length++;
  }

  /** Whose turn it is; the same until one is taken out or a higher one comes in. */
  next(): T | undefined {
    if (this.#length === 0) return undefined;
    return this.#deques[this.#turn()]!.at(0);
  }

  /** Takes out `next`. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const level = this.#turn();
    if (!this.#allNormal()) this.#turns[level]!--;
    this.#length--;
    return this.#deques[level]!.shift();
  }

  #turn(): Level {
    return this.#allNormal() ? NORMAL : turnOf(this.#turns, (level) => this.#deques[level]!.length > 0);
  }

  /** What is so nearly always costs no turns: those are for telling levels apart. */
  #allNormal(): boolean {
    return this.#deques[NORMAL]!.length === this.#length;
  }

  /** Takes the oldest of a level out of its turn; throws when it is not that. */
  takeOldest(item: T): void {
    const deque = this.#deques[item.level]!;
    if (deque.at(0) !== item)
      throw new Error('what was to be taken out is not at the head of its level any more');
    deque.shift();
    this.#length--;
  }

  /** The lowest sequence of all that waits; 0: nothing does. */
  lowestSeq(): number {
    let lowest = 0;
    for (const deque of this.#deques) {
      const seq = deque.at(0)?.seq ?? 0;
      if (seq > 0 && (lowest === 0 || seq < lowest)) lowest = seq;
    }
    return lowest;
  }

  /** In the order in which `shift` would give them, as long as nothing comes in. */
  *ahead(): Generator<T> {
    const turns = [...this.#turns];
    const at = LEVELS.map(() => 0);
    for (let left = this.#length; left > 0; left--) {
      const level = turnOf(turns, (one) => at[one]! < this.#deques[one]!.length);
      turns[level]!--;
      yield this.#deques[level]!.at(at[level]!++)!;
    }
  }

  /** The oldest first, from the lowest level up to `highest`. */
  *fromLowest(highest: Level): Generator<T> {
    for (let level = LEVELS.length - 1; level >= highest; level--) {
      const deque = this.#deques[level]!;
      for (let i = 0; i < deque.length; i++) yield deque.at(i)!;
    }
  }

  /** Takes out, the highest level first and in order, what `test` is true for. */
  take(test: (item: T) => boolean): T[] {
    const taken = this.#deques.flatMap((deque) => deque.take(test));
    this.#length -= taken.length;
    return taken;
  }
}

/** The highest level with turns left and something to say; a new round begins when there is none. One must have something. */
function turnOf(turns: number[], speaks: (level: Level) => boolean): Level {
  for (const level of LEVELS) if (turns[level]! > 0 && speaks(level)) return level;
  for (const level of LEVELS) turns[level] = WEIGHTS[level]!;
  return LEVELS.find(speaks)!;
}
