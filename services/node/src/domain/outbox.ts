/** The outbox in memory: what waits for the hub or for a busy recipient, the shares it takes up, and the next pack. */

import { LIMITS } from '@fleetwire/contract';
import type { Receipt } from '@fleetwire/gen/message';
import { FleetwireError, type PriorityLevel, PriorityTurns, Tally } from '@fleetwire/kernel';
import { HeldMail, recipientBusy } from './held-mail.ts';
import { type OutboxPack, packOf, type SeqRun, seqRuns } from './outbox-pack.ts';
import type { Lane, WaitingRow } from './outbox-row.ts';
import type { Busy, Ready } from './peer-signal.ts';
import { ALL, type RecipientFlows } from './recipient-flow.ts';
import { SeqDeque } from './seq-deque.ts';

export interface OutboxBounds {
  /** Messages of one agent. */
  readonly messagesPerAgent: number;
  /** Of them, those held back for one busy recipient. */
  readonly messagesPerRecipient: number;
  /** Bytes of all together: held back for one busy recipient may be a quarter, for all of them half. */
  readonly bytes: number;
  /** Copies of local mail that only history needs. */
  readonly historyMessages: number;
}

/** Milliseconds after which a refused sender may try again. */
const RETRY_AFTER_MS = 500;
const NORMAL_BIT = 0b0010;

/**
 * Guarantees: messages of one sender to one recipient and of one level go in the order in which they were pushed; one pack
 * is out at a time; while a recipient is busy, what is for it waits and the rest passes; of several levels that wait, each
 * has its part of a pack.
 */
export class Outbox {
  readonly #bounds: OutboxBounds;
  readonly #flows: RecipientFlows;
  readonly #held: HeldMail;
  /** What may go, by level. */
  readonly #free = [new SeqDeque(), new SeqDeque(), new SeqDeque(), new SeqDeque()] as const;
  /** The levels of which something may go. */
  #waiting = 0;
  readonly #turns = new PriorityTurns();
  readonly #shares = new Tally<number>();
  #pack: OutboxPack | undefined;
  #depth = 0;
  #bytes = 0;
  #local = 0;

  constructor(bounds: OutboxBounds, flows: RecipientFlows) {
    this.#bounds = bounds;
    this.#flows = flows;
    this.#held = new HeldMail(flows);
  }

  get depth(): number {
    return this.#depth;
  }

  /** Who is busy, with what waits for them. */
  get held(): Pick<HeldMail, 'told' | 'length' | 'recipientOf'> {
    return this.#held;
  }

  /** The error with which a message of `size` bytes is refused, if it is. */
  refusal(agent: number, size: number, to: Lane, nowMs: number): FleetwireError | undefined {
    const { messagesPerAgent, messagesPerRecipient, bytes } = this.#bounds;
    if (this.#flows.size > 0 && this.#flows.holds(to.lane, to.node)) {
      const { count, bytes: heldBytes } = this.#held.of(to.lane, agent);
      const full = heldBytes + size > bytes / 4 || this.#held.bytes + size > bytes / 2;
      if (count >= messagesPerRecipient || (full && this.#held.length > 0))
        return recipientBusy(this.#flows.of(to.lane)!, count, nowMs);
    }
    const share = this.#shares.of(agent);
    if (share < messagesPerAgent && this.#bytes + size <= bytes) return undefined;
    const busiest = this.#held.countOf(agent) * 2 >= share ? this.#held.busiest(agent) : undefined;
    if (busiest !== undefined) return recipientBusy(busiest.flow, busiest.count, nowMs);
    const all = this.#flows.of(ALL);
    return new FleetwireError(
      'resource_exhausted',
      'OUTBOX_FULL',
      `${share} messages of this agent wait for the hub; the outbox holds ${this.#bytes} bytes`,
      {
        help: 'Send more slowly, or see `fleetwire status` for why the hub takes none.',
        retryAfterMs: Math.max(RETRY_AFTER_MS, Math.ceil((all?.untilMs ?? 0) - nowMs)),
      },
    );
  }

  /**
   * Would so many messages of one agent fit, or does nothing depend on it that goes by itself soon, because its share is full
   * of what is held back? More than half of its share is never asked for.
   */
  hasRoomFor(agent: number, count: number): boolean {
    const { messagesPerAgent, bytes } = this.#bounds;
    const messages = Math.min(count, Math.ceil(messagesPerAgent / 2));
    if (this.#held.length > 0 && this.#held.countOf(agent) + messages > messagesPerAgent) return true;
    const share = this.#shares.of(agent);
    return share + messages <= messagesPerAgent && this.#bytes * 4 <= bytes * 3;
  }

  /** Is there room for one more copy of local mail? */
  roomForHistory(size: number): boolean {
    return this.#local < this.#bounds.historyMessages && this.#bytes + size <= this.#bounds.bytes;
  }

  push(row: WaitingRow): void {
    if (!this.#held.push(row)) this.#letGo(row);
    this.#depth++;
    this.#bytes += row.envelope.length;
    if (row.local) this.#local++;
    else this.#shares.add(row.agent);
  }

  /**
   * What goes next, and is on its way from now on: at most a pack of messages, and at most 256 KiB unless the first alone is
   * larger. The same until it is settled. Undefined: nothing may go.
   */
  nextPack(): OutboxPack | undefined {
    this.#pack ??= this.#makePack();
    return this.#pack;
  }

  /** The broker has the pack: it is out. Gives the sequences that nobody needs any more. */
  settle(pack: OutboxPack): SeqRun[] {
    this.#pack = undefined;
    for (const row of pack.rows) this.#forget(row);
    return seqRuns(pack.rows);
  }

  /** True when something may go that did not before. */
  hear(signal: Busy | Ready, nowMs: number): boolean {
    return this.#changed(this.#flows.hear(signal, nowMs));
  }

  get waitsForReceipts(): boolean {
    return this.#flows.waitsForReceipts;
  }

  /** True when something may go that did not before. */
  heard(receipts: readonly Receipt[]): boolean {
    return this.#changed(this.#flows.heard(receipts));
  }

  /** Monotonic milliseconds: when to call `lapse` next. */
  get nextLapseMs(): number {
    return this.#flows.nextLapseMs;
  }

  lapse(nowMs: number): boolean {
    return this.#changed(this.#flows.lapse(nowMs));
  }

  /** Takes out what has waited for a busy recipient beyond its deadline. `nowUs`: broker time. */
  takeExpired(nowUs: number): ReturnType<HeldMail['takeExpired']> {
    const expired = this.#held.takeExpired(nowUs);
    for (const { row } of expired) this.#forget(row);
    return expired;
  }

  /** A message that waits or is on its way, unless it is a copy for history; undefined: it is gone. */
  find(id: string): WaitingRow | undefined {
    const isIt = (row: WaitingRow) => row.id === id && !row.local;
    let row = this.#pack?.rows.find(isIt) ?? this.#held.find(id);
    for (const free of this.#free) row ??= free.find(isIt);
    return row;
  }

  /** Takes out a message that waits, unless it is a copy for history; undefined: it is on its way, or gone. */
  withdraw(id: string): WaitingRow | undefined {
    const row = this.#held.withdraw(id) ?? this.#withdrawFree(id);
    if (row !== undefined) this.#forget(row);
    return row;
  }

  #withdrawFree(id: string): WaitingRow | undefined {
    for (const level of [0, 1, 2, 3] as const) {
      const [row] = this.#free[level].take((one) => one.id === id && !one.local);
      if (this.#free[level].length === 0) this.#waiting &= ~(1 << level);
      if (row !== undefined) return row;
    }
    return undefined;
  }

  #changed(lanes: readonly string[]): boolean {
    if (lanes.length === 0) return false;
    for (const lane of lanes) {
      if (lane === ALL) continue;
      for (const row of this.#held.letGo(lane)) this.#letGo(row);
      this.#holdBack(lane);
    }
    return this.#waiting > 0 || this.#held.hasReady;
  }

  /** What was pushed before its recipient was busy. */
  #holdBack(lane: string): void {
    if (!this.#held.begin(lane)) return;
    for (const level of [0, 1, 2, 3] as const) {
      const rows = this.#free[level].take((row) => row.lane === lane && this.#flows.holds(lane, row.node));
      for (const row of rows) this.#held.push(row);
      if (this.#free[level].length === 0) this.#waiting &= ~(1 << level);
    }
  }

  #letGo(row: WaitingRow): void {
    this.#free[row.level].push(row);
    this.#waiting |= 1 << row.level;
  }

  #makePack(): OutboxPack | undefined {
    const all = this.#flows.of(ALL);
    if (all !== undefined && this.#flows.allowance(ALL) === 0) return undefined;
    const limit = all === undefined ? LIMITS.packMessages : 1;
    const rows =
      this.#waiting === NORMAL_BIT && !this.#held.hasReady ? this.#plain(limit) : this.#mixed(limit);
    if (rows.length === 0) return undefined;
    // A copy of local mail may have had its receipts before: it is out once it is stored.
    if (all !== undefined && !rows[0]!.local) this.#flows.took(ALL, rows[0]!.id);
    return packOf(rows);
  }

  /** Of one level and of nobody busy, which is nearly always all there is. */
  #plain(limit: number): WaitingRow[] {
    const deque = this.#free[1];
    const rows: WaitingRow[] = [];
    let bytes = 0;
    for (let row = deque.head(); row !== undefined && rows.length < limit; row = deque.head()) {
      bytes += row.envelope.length;
      if (rows.length > 0 && bytes > LIMITS.packBytes) break;
      rows.push(row);
      deque.shift();
    }
    if (deque.length === 0) this.#waiting = 0;
    return rows;
  }

  #mixed(limit: number): WaitingRow[] {
    const rows: WaitingRow[] = [];
    const ready = this.#held.ready(limit);
    let bytes = 0;
    while (rows.length < limit) {
      const waiting = this.#waiting | ready.waiting;
      if (waiting === 0) break;
      const level = this.#turns.next(waiting);
      // Those that have waited for their recipient are the older ones.
      const row = ready.head(level) ?? this.#free[level].head()!;
      bytes += row.envelope.length;
      if (rows.length > 0 && bytes > LIMITS.packBytes) break;
      this.#turns.took(level, waiting);
      rows.push(row);
      if (ready.head(level) === row) ready.shift(level);
      else this.#shiftFree(level);
    }
    return rows;
  }

  #shiftFree(level: PriorityLevel): void {
    this.#free[level].shift();
    if (this.#free[level].length === 0) this.#waiting &= ~(1 << level);
  }

  #forget(row: WaitingRow): void {
    this.#depth--;
    this.#bytes -= row.envelope.length;
    if (row.local) this.#local--;
    else this.#shares.drop(row.agent);
  }
}
