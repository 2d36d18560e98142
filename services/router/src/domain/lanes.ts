/** A lane per subject: first in, first out, at most one pack in flight; what gathers meanwhile is the next pack. */

import { invariant } from '@fleetwire/kernel';

export interface Sized {
  /** Bytes, as far as the bound of a pack is concerned. */
  readonly size: number;
  /** Shares a pack with nothing else. */
  readonly alone?: boolean;
}

export interface Pack<T> {
  readonly lane: string;
  /** At least one; in the order in which they were pushed. */
  readonly items: readonly T[];
}

export interface PackLimits {
  readonly messages: number;
  /** Stops a pack from growing; a single item may be larger. */
  readonly bytes: number;
}

interface Lane<T> {
  readonly name: string;
  waiting: T[];
  /** Items of `waiting` before this one have left. */
  head: number;
  inFlight: boolean;
}

/**
 * Guarantee: for one lane, packs leave in the order of their items, and none leaves before `done` was called for
 * the one before it. Lanes take turns: the one that has been ready longest is next. An empty lane takes no memory.
 */
export class Lanes<T extends Sized> {
  readonly #limits: PackLimits;
  readonly #lanes = new Map<string, Lane<T>>();
  /** Lanes with waiting items and nothing in flight, each once. */
  #ready: Lane<T>[] = [];
  #readyHead = 0;

  constructor(limits: PackLimits) {
    this.#limits = limits;
  }

  /** Lanes that hold anything. */
  get size(): number {
    return this.#lanes.size;
  }

  /** True while anything of this lane waits, is in flight, or keeps it shut. */
  holds(name: string): boolean {
    return this.#lanes.has(name);
  }

  push(name: string, item: T): void {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { name, waiting: [], head: 0, inFlight: false };
      this.#lanes.set(name, lane);
    }
    lane.waiting.push(item);
    if (!lane.inFlight && lane.waiting.length - lane.head === 1) this.#ready.push(lane);
  }

  /** The next pack to be published, which is then in flight; undefined when no lane is ready. */
  next(): Pack<T> | undefined {
    if (this.#readyHead === this.#ready.length) return undefined;
    const lane = this.#ready[this.#readyHead++]!;
    if (this.#readyHead * 2 > this.#ready.length) {
      this.#ready = this.#ready.slice(this.#readyHead);
      this.#readyHead = 0;
    }
    lane.inFlight = true;
    return { lane: lane.name, items: this.#take(lane) };
  }

  /** What was in flight on this lane is settled: it may go on. */
  done(name: string): void {
    const lane = this.#lanes.get(name);
    invariant(lane?.inFlight, 'only a pack in flight can be done');
    lane.inFlight = false;
    if (lane.head < lane.waiting.length) this.#ready.push(lane);
    else this.#lanes.delete(name);
  }

  #take(lane: Lane<T>): T[] {
    const start = lane.head;
    let bytes = 0;
    let end = start;
    while (end < lane.waiting.length && end - start < this.#limits.messages) {
      bytes += lane.waiting[end]!.size;
      if (end > start && (bytes > this.#limits.bytes || lane.waiting[end]!.alone === true)) break;
      if (lane.waiting[end++]!.alone === true) break;
    }
    const items = lane.waiting.slice(start, end);
    lane.head = end;
    if (end === lane.waiting.length) {
      lane.waiting = [];
      lane.head = 0;
    } else if (end * 2 > lane.waiting.length) {
      lane.waiting = lane.waiting.slice(end);
      lane.head = 0;
    }
    return items;
  }
}
