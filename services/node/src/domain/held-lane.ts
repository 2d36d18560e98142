/** What waits for one busy recipient: in order within each level, counted by sender. */

import { Tally } from '@fleetwire/kernel';
import { Levels } from './levels.ts';
import type { WaitingRow } from './outbox-row.ts';

export class HeldLane {
  /** The node of the recipient, folded. */
  readonly node: string;
  readonly #waiting = new Levels<WaitingRow>();
  readonly #byAgent = new Tally<number>();
  #bytes = 0;
  /** No row has an earlier deadline than this. */
  #earliestUs = Number.POSITIVE_INFINITY;

  constructor(node: string) {
    this.node = node;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  countOf(agent: number): number {
    return this.#byAgent.of(agent);
  }

  push(row: WaitingRow): void {
    this.#waiting.push(row);
    this.#bytes += row.envelope.length;
    this.#byAgent.add(row.agent);
    this.#earliestUs = Math.min(this.#earliestUs, row.deadlineUs);
  }

  /** The one that goes next; undefined: none waits. */
  head(): WaitingRow | undefined {
    return this.#waiting.next();
  }

  find(id: string): WaitingRow | undefined {
    for (const row of this.#waiting) if (row.id === id) return row;
    return undefined;
  }

  /** Takes the head out. */
  shift(): WaitingRow | undefined {
    const row = this.#waiting.shift();
    if (row !== undefined) this.#out(row);
    return row;
  }

  /** Takes all out, the oldest of each level first. */
  takeAll(): WaitingRow[] {
    return this.#take(() => true);
  }

  withdraw(id: string): WaitingRow | undefined {
    return this.#take((row) => row.id === id)[0];
  }

  /** Takes out what waits beyond its deadline. */
  takeExpired(nowUs: number): WaitingRow[] {
    if (nowUs < this.#earliestUs) return [];
    const rows = this.#take((row) => row.deadlineUs <= nowUs);
    this.#earliestUs = Number.POSITIVE_INFINITY;
    for (const row of this.#waiting) this.#earliestUs = Math.min(this.#earliestUs, row.deadlineUs);
    return rows;
  }

  #take(test: (row: WaitingRow) => boolean): WaitingRow[] {
    const taken = this.#waiting.take(test);
    for (const row of taken) this.#out(row);
    return taken;
  }

  #out(row: WaitingRow): void {
    this.#bytes -= row.envelope.length;
    this.#byAgent.drop(row.agent);
  }
}
