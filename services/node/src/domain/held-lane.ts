/** What waits for one busy recipient: in order within each level, counted by sender. */

import { NORMAL_LEVEL, PRIORITY_LEVELS, PriorityTurns } from '@fleetwire/kernel';
import { Deque } from './deque.ts';
import type { WaitingRow } from './outbox-row.ts';

export class HeldLane {
  /** The node of the recipient, folded. */
  readonly node: string;
  readonly #levels: (Deque<WaitingRow> | undefined)[] = [undefined, undefined, undefined, undefined];
  readonly #turns = new PriorityTurns();
  readonly #byAgent = new Map<number, number>();
  #waiting = 0;
  #length = 0;
  #bytes = 0;
  /** No row has an earlier deadline than this. */
  #earliestUs = Number.POSITIVE_INFINITY;

  constructor(node: string) {
    this.node = node;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  countOf(agent: number): number {
    return this.#byAgent.get(agent) ?? 0;
  }

  push(row: WaitingRow): void {
    const deque = this.#levels[row.level] ?? new Deque<WaitingRow>();
    this.#levels[row.level] = deque;
    deque.push(row);
    this.#waiting |= 1 << row.level;
    this.#length++;
    this.#bytes += row.envelope.length;
    this.#byAgent.set(row.agent, this.countOf(row.agent) + 1);
    this.#earliestUs = Math.min(this.#earliestUs, row.deadlineUs);
  }

  /** The one that goes next; undefined: none waits. */
  head(): WaitingRow | undefined {
    return this.#levels[this.#turns.next(this.#waiting) ?? NORMAL_LEVEL]?.at(0);
  }

  /** Takes the head out. */
  shift(): WaitingRow | undefined {
    const row = this.head();
    if (row === undefined) return undefined;
    this.#turns.took(row.level, this.#waiting);
    this.#levels[row.level]!.shift();
    this.#out(row);
    return row;
  }

  /** Takes all out, the oldest of each level first. */
  takeAll(): WaitingRow[] {
    return this.#take(() => true);
  }

  /** Takes out what waits beyond its deadline. */
  takeExpired(nowUs: number): WaitingRow[] {
    if (nowUs < this.#earliestUs) return [];
    const rows = this.#take((row) => row.deadlineUs <= nowUs);
    this.#earliestUs = Number.POSITIVE_INFINITY;
    for (const deque of this.#levels)
      for (let i = 0; i < (deque?.length ?? 0); i++)
        this.#earliestUs = Math.min(this.#earliestUs, deque!.at(i)!.deadlineUs);
    return rows;
  }

  #take(test: (row: WaitingRow) => boolean): WaitingRow[] {
    const taken = PRIORITY_LEVELS.flatMap((level) => this.#levels[level]?.take(test) ?? []);
    for (const row of taken) this.#out(row);
    return taken;
  }

  #out(row: WaitingRow): void {
    if (this.#levels[row.level]!.length === 0) this.#waiting &= ~(1 << row.level);
    this.#length--;
    this.#bytes -= row.envelope.length;
    const left = this.countOf(row.agent) - 1;
    if (left === 0) this.#byAgent.delete(row.agent);
    else this.#byAgent.set(row.agent, left);
  }
}
