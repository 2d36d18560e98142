/** Which nodes are to be told to hold back, each not more often than it helps. */

import { keepNewest } from '@fleetwire/kernel';
import type { RouteEntry } from './routing-table.ts';

export type BusyReason = 'inbox_full' | 'rate_limited' | 'unfair_share' | 'ingress_budget';

/** What a node is told. */
export interface Busy {
  readonly org: string;
  /** The node that sends. */
  readonly node: string;
  readonly reason: BusyReason;
  readonly retryAfterMs: number;
  /** What is meant for this agent; undefined: whatever it sends. */
  readonly about?: RouteEntry;
}

/** Node and agent, or node alone, that are remembered as told; beyond, the oldest is forgotten and may be told early. */
const TOLD_MAX = 10_000;
/** Notices that wait to be sent; more are dropped, since one that is lost costs a moment. */
const WAITING_MAX = 1000;

/** Times are monotonic or broker milliseconds, of one kind. */
export class BusyNotices {
  /** Until when not again; in the order in which they were told. */
  readonly #told = new Map<string, number>();
  #waiting: Busy[] = [];

  /** To be told, unless this node was told the same of the same agent within the last `everyMs`. */
  note(busy: Busy, everyMs: number, nowMs: number): void {
    const key = `${busy.org}.${busy.node} ${busy.reason} ${busy.about?.agent ?? ''}`;
    if ((this.#told.get(key) ?? Number.NEGATIVE_INFINITY) > nowMs) return;
    if (this.#waiting.length >= WAITING_MAX) return;
    this.#told.delete(key);
    this.#told.set(key, nowMs + everyMs);
    keepNewest(this.#told, TOLD_MAX);
    this.#waiting.push(busy);
  }

  /** What is to be sent now; each is given out once. */
  take(): readonly Busy[] {
    const waiting = this.#waiting;
    if (waiting.length > 0) this.#waiting = [];
    return waiting;
  }

  /** For tests of the bound. */
  get remembered(): number {
    return this.#told.size;
  }
}
