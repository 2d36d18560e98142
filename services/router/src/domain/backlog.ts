/** What waits in one lane beyond a pack: which of it fills the next one, by turns over its levels and its senders. */

import { Deque, highestLevel, type PriorityLevel, PriorityTurns } from '@fleetwire/kernel';

export interface Ranked {
  readonly level: PriorityLevel;
  /** Whose order among each other is kept. */
  readonly sender: string;
}

/** The waiting items of one sender on one level. */
interface Turn<T> {
  readonly sender: string;
  readonly items: Deque<T>;
}

interface Row<T> {
  readonly bySender: Map<string, Turn<T>>;
  readonly ring: Deque<Turn<T>>;
}

/**
 * Guarantees: items of one sender on one level leave in the order in which they came. An item leaves after at most
 * PRIORITY_TURNS * senders * (place in its sender's queue) others, where senders are those that wait on its level.
 */
export class Backlog<T extends Ranked> {
  readonly #rows: (Row<T> | undefined)[] = [undefined, undefined, undefined, undefined];
  readonly #turns = new PriorityTurns();
  /** Bits of the levels on which something waits. */
  #present = 0;

  constructor(items: Iterable<T>) {
    for (const item of items) this.push(item);
  }

  get empty(): boolean {
    return this.#present === 0;
  }

  /** The highest level on which something waits; -1: none. */
  get top(): number {
    return highestLevel(this.#present);
  }

  push(item: T): void {
    const row = this.#row(item.level);
    let turn = row.bySender.get(item.sender);
    if (turn === undefined) {
      turn = { sender: item.sender, items: new Deque() };
      row.bySender.set(item.sender, turn);
      row.ring.push(turn);
    }
    turn.items.push(item);
  }

  /** The item whose turn it is; undefined when there is none. Asked again before a push, it is the same. */
  first(): T | undefined {
    if (this.#present === 0) return undefined;
    return this.#rows[this.#turns.next(this.#present)]!.ring.at(0)!.items.at(0);
  }

  /** Takes out what `first` gives. */
  shift(): void {
    const level = this.#turns.next(this.#present);
    const { ring, bySender } = this.#rows[level]!;
    this.#turns.took(level, this.#present);
    const turn = ring.shift()!;
    turn.items.shift();
    if (turn.items.length > 0) ring.push(turn);
    else {
      bySender.delete(turn.sender);
      if (ring.length === 0) this.#present &= ~(1 << level);
    }
  }

  #row(level: PriorityLevel): Row<T> {
    this.#present |= 1 << level;
    let row = this.#rows[level];
    if (row === undefined) {
      row = { bySender: new Map(), ring: new Deque() };
      this.#rows[level] = row;
    }
    return row;
  }
}
