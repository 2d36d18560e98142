/** Knows how far everything is settled without a hole, which is how far an ack-all consumer may acknowledge. */

import { Deque, invariant } from '@fleetwire/kernel';

/** One ingress message and how many of its parts are still under way. */
export interface Slot {
  /** Sequence in the ingress stream. */
  readonly sequence: number;
  /** Parts under way; what is settled has none. */
  open: number;
  /** What it weighs while it is in memory. */
  readonly bytes: number;
  readonly parts: number;
}

/**
 * Messages enter in the order of the stream and are settled in any order. Guarantee: `advance` never gives a
 * message while one before it has a part under way.
 */
export class Prefix<S extends Slot> {
  readonly #slots = new Deque<S>();
  #highest = 0;
  #advanced = 0;
  #bytes = 0;
  #parts = 0;

  /** Messages that have entered and are not yet behind the prefix. */
  get size(): number {
    return this.#slots.length;
  }

  /** Bytes of what has entered and is not yet behind the prefix. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Parts of the same. */
  get parts(): number {
    return this.#parts;
  }

  /** The highest sequence that has entered. */
  get highest(): number {
    return this.#highest;
  }

  /** The sequence of what `advance` gave last; 0 before. */
  get advanced(): number {
    return this.#advanced;
  }

  enter(slot: S): void {
    invariant(slot.sequence > this.#highest, 'ingress messages enter in the order of the stream');
    this.#highest = slot.sequence;
    this.#bytes += slot.bytes;
    this.#parts += slot.parts;
    this.#slots.push(slot);
  }

  /** Moves past all that is settled at the head; the last of it, or undefined when nothing moved. */
  advance(): S | undefined {
    let last: S | undefined;
    while (this.#slots.at(0)?.open === 0) {
      last = this.#slots.shift()!;
      this.#bytes -= last.bytes;
      this.#parts -= last.parts;
    }
    if (last !== undefined) this.#advanced = last.sequence;
    return last;
  }
}
