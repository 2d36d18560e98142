/**
 * What is under way, by number, in places that are used again and again.
 *
 * Not a Map: where much passes through one, V8 gives it a new table every few hundred entries, and each former table points
 * to the next. Once one of them has become old, it keeps all that follow, with what was under way in them, until the whole
 * heap is collected: what lived for milliseconds, and the buffers that it had, becomes garbage of the old generation.
 */
export class UnderWay<T> {
  readonly #places: ({ readonly number: number; readonly what: T } | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #max: number;
  #rounds = 0;

  /** At most `max`, a whole number, at a time. */
  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#places.length - this.#free.length;
  }

  /** True when nothing more can be added. */
  get full(): boolean {
    return this.size >= this.#max;
  }

  /** The number by which it is taken, which is never given again. Not when `full`. */
  add(what: T): number {
    const place = this.#free.pop() ?? this.#places.length;
    const number = this.#rounds++ * this.#max + place;
    this.#places[place] = { number, what };
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
    const found = this.#places.flatMap((at) => (at !== undefined && of(at.what) ? [at] : []));
    return found.sort((a, b) => a.number - b.number).map(({ number }) => this.take(number)!);
  }
}
