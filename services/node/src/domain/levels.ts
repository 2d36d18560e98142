/** What waits, by priority: first in first out within a level, and every level gets its share of the turns. */

import { Deque, PRIORITY_LEVELS, type PriorityLevel, PriorityTurns } from '@fleetwire/kernel';

interface Leveled {
  readonly level: PriorityLevel;
  readonly seq: number;
}

/** Levels take turns as PriorityTurns has it, so what is at the head of its level waits for fewer than PRIORITY_TURNS others. */
export class Levels<T extends Leveled> implements Iterable<T> {
  /** By level. */
  readonly #deques = [new Deque<T>(), new Deque<T>(), new Deque<T>(), new Deque<T>()] as const;
  readonly #turns = new PriorityTurns();
  /** The levels of which something waits. */
  #waiting = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    this.#deques[item.level].push(item);
    this.#waiting |= 1 << item.level;
    this.#length++;
  }

  /** Puts it before all of its level, where it was. */
  unshift(item: T): void {
    const rest = this.#deques[item.level].takeAll();
    this.#length -= rest.length;
    for (const one of [item, ...rest]) this.push(one);
  }

  /** Whose turn it is; the same until something comes in or goes out. */
  next(): T | undefined {
    return this.#waiting === 0 ? undefined : this.#deques[this.#turns.next(this.#waiting)].at(0);
  }

  /** Takes out `next`. */
  shift(): T | undefined {
    if (this.#waiting === 0) return undefined;
    const level = this.#turns.next(this.#waiting);
    this.#turns.took(level, this.#waiting);
    const item = this.#deques[level].shift();
    this.#took(level, 1);
    return item;
  }

  /** Takes the oldest of a level out of its turn; throws when it is not that. */
  takeOldest(item: T): void {
    if (!this.isOldest(item))
      throw new Error('what was to be taken out is not at the head of its level any more');
    this.#deques[item.level].shift();
    this.#took(item.level, 1);
  }

  isOldest(item: T): boolean {
    return this.#deques[item.level].at(0) === item;
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
    const turns = this.#turns.copy();
    const at = [0, 0, 0, 0];
    let waiting = this.#waiting;
    while (waiting !== 0) {
      const level = turns.next(waiting);
      turns.took(level, waiting);
      yield this.#deques[level].at(at[level]!++)!;
      if (at[level] === this.#deques[level].length) waiting &= ~(1 << level);
    }
  }

  /** The lowest level first, the oldest of each first. */
  *[Symbol.iterator](): Generator<T> {
    for (const deque of this.#deques) for (let i = 0; i < deque.length; i++) yield deque.at(i)!;
  }

  /** Takes out, the highest level first and in order, what `test` is true for. */
  take(test: (item: T) => boolean): T[] {
    return PRIORITY_LEVELS.flatMap((level) => {
      const taken = this.#deques[level].take(test);
      this.#took(level, taken.length);
      return taken;
    });
  }

  #took(level: PriorityLevel, count: number): void {
    this.#length -= count;
    if (this.#deques[level].length === 0) this.#waiting &= ~(1 << level);
  }
}
