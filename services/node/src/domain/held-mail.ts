/** Mail that waits for busy recipients: who has how much, and what of it may go. */

import type { HeldBack } from '@fleetwire/gen/node';
import { FleetwireError, type PriorityLevel, Tally } from '@fleetwire/kernel';
import { HeldLane } from './held-lane.ts';
import type { WaitingRow } from './outbox-row.ts';
import { ALL, type Flow, type RecipientFlows } from './recipient-flow.ts';

/** Recipients that a status names. */
const TOLD_MAX = 100;
/** Milliseconds after which a refused sender may try again, at least. */
const RETRY_AFTER_MS = 500;

/** One message that has waited too long, and for whom. */
export interface Expired {
  readonly row: WaitingRow;
  readonly recipient: { readonly id: string; readonly name: string };
}

export class HeldMail {
  readonly #flows: RecipientFlows;
  /** A lane for each flow whose mail was looked for in the outbox; some are empty. */
  readonly #lanes = new Map<string, HeldLane>();
  readonly #byAgent = new Tally<number>();
  /** Lanes that have mail, and of which some may go. */
  readonly #ready = new Set<string>();
  #length = 0;
  #bytes = 0;

  constructor(flows: RecipientFlows) {
    this.#flows = flows;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get hasReady(): boolean {
    return this.#ready.size > 0;
  }

  /** Of one sender. */
  countOf(agent: number): number {
    return this.#byAgent.of(agent);
  }

  /** For one recipient: messages of one sender, bytes of all. */
  of(lane: string, agent: number): { readonly count: number; readonly bytes: number } {
    const held = this.#lanes.get(lane);
    return { count: held?.countOf(agent) ?? 0, bytes: held?.bytes ?? 0 };
  }

  /** The name of the busy recipient for whom the message waits; undefined: it waits for nobody. */
  recipientOf(id: string): string | undefined {
    for (const [lane, held] of this.#lanes) if (held.find(id)) return this.#flows.of(lane)?.name;
    return undefined;
  }

  /** For whom most of one sender's mail waits. */
  busiest(agent: number): { readonly flow: Flow; readonly count: number } | undefined {
    let most: { flow: Flow; count: number } | undefined;
    for (const [lane, held] of this.#lanes) {
      const count = held.countOf(agent);
      const flow = this.#flows.of(lane);
      if (flow !== undefined && count > (most?.count ?? 0)) most = { flow, count };
    }
    return most;
  }

  /** False: its recipient is not busy. */
  push(row: WaitingRow): boolean {
    if (this.#flows.size === 0 || row.lane === ALL || !this.#flows.holds(row.lane, row.node)) return false;
    const held = this.#lanes.get(row.lane);
    if (held === undefined) return false;
    held.push(row);
    this.#length++;
    this.#bytes += row.envelope.length;
    this.#byAgent.add(row.agent);
    if (this.#flows.allowance(row.lane) > 0) this.#ready.add(row.lane);
    return true;
  }

  /** From now on what is for this recipient comes here. False: that is so already. */
  begin(lane: string): boolean {
    const flow = this.#flows.of(lane);
    if (flow === undefined || this.#lanes.has(lane)) return false;
    this.#lanes.set(lane, new HeldLane(flow.node));
    return true;
  }

  /** Something has changed for a recipient. Gives back all that waits for it when it is busy no longer, or is elsewhere. */
  letGo(lane: string): WaitingRow[] {
    const held = this.#lanes.get(lane);
    if (held === undefined) return [];
    if (this.#flows.of(lane)?.node !== held.node) {
      this.#lanes.delete(lane);
      this.#ready.delete(lane);
      const rows = held.takeAll();
      for (const row of rows) this.#out(row);
      return rows;
    }
    if (held.length > 0 && this.#flows.allowance(lane) > 0) this.#ready.add(lane);
    else this.#ready.delete(lane);
    return [];
  }

  /** What may go, as far as a pack of `limit` messages can use it. */
  ready(limit: number): ReadyMail {
    const lanes = [...this.#ready].slice(0, limit);
    return new ReadyMail(
      lanes.map((lane) => this.#lanes.get(lane)!),
      (row) => this.#take(row),
    );
  }

  /** `nowUs`: broker time. */
  takeExpired(nowUs: number): Expired[] {
    if (this.#length === 0) return [];
    const expired: Expired[] = [];
    for (const [lane, held] of this.#lanes) {
      const { agent: id, name } = this.#flows.of(lane)!;
      for (const row of held.takeExpired(nowUs)) expired.push({ row, recipient: { id, name } });
      if (held.length === 0) this.#ready.delete(lane);
    }
    for (const { row } of expired) this.#out(row);
    return expired;
  }

  /** One that waits; undefined: none of this id does. */
  find(id: string): WaitingRow | undefined {
    for (const held of this.#lanes.values()) {
      const row = held.find(id);
      if (row !== undefined) return row;
    }
    return undefined;
  }

  /** Takes one out that waits; undefined: none of this id does. */
  withdraw(id: string): WaitingRow | undefined {
    for (const [lane, held] of this.#lanes) {
      const row = held.withdraw(id);
      if (row === undefined) continue;
      if (held.length === 0) this.#ready.delete(lane);
      this.#out(row);
      return row;
    }
    return undefined;
  }

  /** For whom mail waits; `depth`: of the whole outbox. */
  told(depth: number): HeldBack[] {
    const told: HeldBack[] = [];
    const all = this.#flows.of(ALL);
    if (all !== undefined && depth > 0)
      told.push({ to: '*', reason: all.reason, waiting: depth, credits: 0 });
    for (const [lane, held] of this.#lanes) {
      if (told.length === TOLD_MAX) break;
      const flow = this.#flows.of(lane);
      if (flow === undefined || held.length === 0) continue;
      const { name: to, reason, credits } = flow;
      told.push({ to, reason, waiting: held.length, credits });
    }
    return told;
  }

  /** One message is on its way; true when more of its recipient's may follow. */
  #take(row: WaitingRow): boolean {
    const { lane } = row;
    this.#flows.took(lane, row.id);
    this.#out(row);
    const more = this.#lanes.get(lane)!.length > 0 && this.#flows.allowance(lane) > 0;
    // Behind the others, so that all have their turn.
    this.#ready.delete(lane);
    if (more) this.#ready.add(lane);
    return more;
  }

  #out(row: WaitingRow): void {
    this.#length--;
    this.#bytes -= row.envelope.length;
    this.#byAgent.drop(row.agent);
  }
}

/** The recipients of which something may go, by the level of what goes next; each in turn. */
class ReadyMail {
  /** The levels of which there is something. */
  waiting = 0;
  readonly #levels: HeldLane[][] = [[], [], [], []];
  readonly #take: (row: WaitingRow) => boolean;

  constructor(lanes: readonly HeldLane[], take: (row: WaitingRow) => boolean) {
    this.#take = take;
    for (const lane of lanes) this.#add(lane);
  }

  head(level: PriorityLevel): WaitingRow | undefined {
    return this.#levels[level]![0]?.head();
  }

  shift(level: PriorityLevel): void {
    const lane = this.#levels[level]!.shift()!;
    if (this.#levels[level]!.length === 0) this.waiting &= ~(1 << level);
    if (this.#take(lane.shift()!)) this.#add(lane);
  }

  #add(lane: HeldLane): void {
    const head = lane.head();
    if (head === undefined) return;
    this.#levels[head.level]!.push(lane);
    this.waiting |= 1 << head.level;
  }
}

/** The error for a sender that has enough waiting for one busy recipient. */
export function recipientBusy({ name: to, untilMs }: Flow, waiting: number, nowMs: number): FleetwireError {
  return new FleetwireError(
    'resource_exhausted',
    'RECIPIENT_BUSY',
    `${to} takes no more mail at the moment; ${waiting} messages of this agent wait for it here`,
    {
      help: 'Send to it more slowly; mail for others goes on.',
      details: { to, waiting: String(waiting) },
      retryAfterMs: Math.max(RETRY_AFTER_MS, Math.ceil(untilMs - nowMs)),
    },
  );
}
