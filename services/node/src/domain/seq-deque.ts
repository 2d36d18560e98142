/** Rows of the outbox in the order of their sequences, into which older ones can be put back. */

import { Deque } from '@fleetwire/kernel';
import type { WaitingRow } from './outbox-row.ts';

export class SeqDeque {
  readonly #rows = new Deque<WaitingRow>();
  /** Older than the last of the others; they wait to be put in their place all at once. */
  #older: WaitingRow[] = [];
  #last = 0;

  get length(): number {
    return this.#rows.length + this.#older.length;
  }

  push(row: WaitingRow): void {
    if (row.seq < this.#last && this.#rows.length > 0) this.#older.push(row);
    else {
      this.#rows.push(row);
      this.#last = row.seq;
    }
  }

  /** The oldest. */
  head(): WaitingRow | undefined {
    if (this.#older.length > 0) this.#putInPlace();
    return this.#rows.at(0);
  }

  shift(): void {
    if (this.#older.length > 0) this.#putInPlace();
    this.#rows.shift();
  }

  find(test: (row: WaitingRow) => boolean): WaitingRow | undefined {
    if (this.#older.length > 0) this.#putInPlace();
    for (let i = 0; i < this.#rows.length; i++) if (test(this.#rows.at(i)!)) return this.#rows.at(i);
    return undefined;
  }

  /** Takes out, in order, what `test` is true for. */
  take(test: (row: WaitingRow) => boolean): WaitingRow[] {
    return this.find(test) === undefined ? [] : this.#rows.take(test);
  }

  #putInPlace(): void {
    const all = [...this.#rows.takeAll(), ...this.#older].sort((a, b) => a.seq - b.seq);
    this.#older = [];
    for (const row of all) this.#rows.push(row);
    this.#last = all.at(-1)!.seq;
  }
}
