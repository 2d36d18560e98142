/** A lane per subject, at most one pack in flight; what gathers meanwhile is the next pack, or waits for its turn. */

import { invariant } from '@fleetwire/kernel';
import { Backlog, type Ranked } from './backlog.ts';
import { type OrgTurn, ReadyLanes, type Standing } from './ready-lanes.ts';

export interface Queued extends Ranked {
  /** Bytes, as far as the bound of a pack is concerned. */
  readonly size: number;
  /** Shares a pack with nothing else. */
  readonly alone?: boolean;
}

export interface Pack<T> {
  readonly lane: string;
  /** At least one; those of one sender on one level in the order in which they were pushed. */
  readonly items: readonly T[];
}

export interface PackLimits {
  readonly messages: number;
  /** Stops a pack from growing; a single item may be larger. */
  readonly bytes: number;
}

interface Lane<T extends Queued> extends Standing<Lane<T>> {
  readonly name: string;
  readonly turn: OrgTurn<Lane<T>>;
  /** In the order in which they came; empty while there is a backlog. */
  waiting: T[];
  /** From when more waits than one pack holds until nothing waits. */
  backlog: Backlog<T> | undefined;
  inFlight: boolean;
  /** -1: nothing waits. */
  top: number;
}

/**
 * Guarantees: of one lane no pack leaves before `done` was called for the one before it, and what one sender has on one
 * level leaves in its order. While all that waits fits into a pack, it leaves as it came; only beyond is there a choice,
 * which Backlog makes. Which lane is next, ReadyLanes says. An empty lane takes no memory.
 */
export class Lanes<T extends Queued> {
  readonly #limits: PackLimits;
  readonly #lanes = new Map<string, Lane<T>>();
  readonly #ready = new ReadyLanes<Lane<T>>();

  constructor(limits: PackLimits) {
    this.#limits = limits;
  }

  /** Lanes that hold anything. */
  get size(): number {
    return this.#lanes.size;
  }

  /** Names of the lanes that hold anything. */
  get names(): Iterable<string> {
    return this.#lanes.keys();
  }

  /** True while anything of this lane waits, is in flight, or keeps it shut. */
  holds(name: string): boolean {
    return this.#lanes.has(name);
  }

  /** `org`: whose lane it is; the same each time. */
  push(name: string, org: string, item: T): void {
    const lane = this.#lanes.get(name) ?? this.#open(name, org);
    if (lane.backlog === undefined) lane.waiting.push(item);
    else lane.backlog.push(item);
    if (item.level <= lane.top) return;
    const none = lane.top === -1;
    if (none || lane.inFlight) lane.top = item.level;
    if (lane.inFlight) return;
    if (none) this.#ready.add(lane);
    else this.#ready.raise(lane, item.level);
  }

  /** The next pack to be published, which is then in flight; undefined when no lane is ready. */
  next(): Pack<T> | undefined {
    const lane = this.#ready.take();
    if (lane === undefined) return undefined;
    lane.inFlight = true;
    return { lane: lane.name, items: this.#take(lane) };
  }

  /** What was in flight on this lane is settled: it may go on. */
  done(name: string): void {
    const lane = this.#lanes.get(name);
    invariant(lane?.inFlight, 'only a pack in flight can be done');
    lane.inFlight = false;
    if (lane.top !== -1) {
      this.#ready.add(lane);
      return;
    }
    this.#lanes.delete(name);
    this.#ready.leave(lane.turn);
  }

  #open(name: string, org: string): Lane<T> {
    const lane: Lane<T> = {
      name,
      turn: this.#ready.enter(org),
      waiting: [],
      backlog: undefined,
      inFlight: false,
      top: -1,
      before: undefined,
      behind: undefined,
    };
    this.#lanes.set(name, lane);
    return lane;
  }

  #take(lane: Lane<T>): readonly T[] {
    if (lane.backlog === undefined) {
      const all = lane.waiting;
      lane.waiting = [];
      if (this.#fits(all)) {
        lane.top = -1;
        return all;
      }
      lane.backlog = new Backlog(all);
    }
    const items = this.#fill(lane.backlog);
    lane.top = lane.backlog.top;
    if (lane.backlog.empty) lane.backlog = undefined;
    return items;
  }

  /** Can all of it share one pack? */
  #fits(items: readonly T[]): boolean {
    if (items.length === 1) return true;
    if (items.length > this.#limits.messages) return false;
    let bytes = 0;
    for (const item of items) {
      bytes += item.size;
      if (bytes > this.#limits.bytes || item.alone === true) return false;
    }
    return true;
  }

  /** Ends at the first that does not fit: it has its turn in the next pack, however large it is. */
  #fill(backlog: Backlog<T>): T[] {
    const items: T[] = [];
    let bytes = 0;
    for (let item = backlog.first(); item !== undefined; item = backlog.first()) {
      bytes += item.size;
      if (items.length > 0 && (bytes > this.#limits.bytes || item.alone === true)) break;
      items.push(item);
      backlog.shift();
      if (item.alone === true || items.length === this.#limits.messages) break;
    }
    return items;
  }
}
