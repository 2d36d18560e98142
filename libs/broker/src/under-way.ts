/** Numbered places for requests that wait for their answers. */

import { invariant } from '@fleetwire/kernel';

interface Place<T> {
  readonly number: number;
  /** How many were added before. */
  readonly added: number;
  readonly what: T;
}

/** Up to here V8 makes no object for a number. */
const SMALL_INTEGERS = 2 ** 30;

/**
 * What is under way, by number, in places that are used again and again.
 *
 * Not a Map: where much passes through one, V8 gives it a new table every few hundred entries, and each former table points
 * to the next. Once one of them has become old, it keeps all that follow, with what was under way in them, until the whole
 * heap is collected: what lived for milliseconds, and the buffers that it had, becomes garbage of the old generation.
 */
export class UnderWay<T> {
  readonly #places: (Place<T> | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #max: number;
  readonly #rounds: number;
  #added = 0;

  /** At most `max` at a time, 1 to a million. */
  constructor(max: number) {
    invariant(Number.isInteger(max) && max > 0 && max <= 1_000_000, 'it needs a bound');
    this.#max = max;
    this.#rounds = Math.floor(SMALL_INTEGERS / max);
  }

  get size(): number {
    return this.#places.length - this.#free.length;
  }

  /** True when nothing more can be added. */
  get full(): boolean {
    return this.size >= this.#max;
  }

  /**
   * The number by which it is taken, from 0; a thousand million / `max` others are added before it is given again. Not
   * when `full`.
   */
  add(what: T): number {
    invariant(!this.full, 'no more than its bound is under way');
    const place = this.#free.pop() ?? this.#places.length;
    const added = this.#added++;
    const number = (added % this.#rounds) * this.#max + place;
    this.#places[place] = { number, added, what };
    return number;
  }

  /** Undefined when it is not, or no longer, under way. */
  take(number: number): T | undefined {
    const place = number % this.#max;
    const found = this.#places[place];
    if (found === undefined || found.number !== number) return undefined;
    this.#places[place] = undefined;
    this.#free.push(place);
    return found.what;
  }

  /** Takes those for which `of` holds, oldest first. */
  takeAll(of: (what: T) => boolean): T[] {
    const found: Place<T>[] = [];
    for (const at of this.#places) if (at !== undefined && of(at.what)) found.push(at);
    return found.sort((a, b) => a.added - b.added).map(({ number }) => this.take(number)!);
  }
}
