/** What happens by time alone: announcements, missing proof, deadlines, and forgetting what was long ago. */

import { Stage } from '@fleetwire/gen/message';
import { type Clock, Deque } from '@fleetwire/kernel';
import type { AgentBook } from '../agents/agent-book.ts';
import type { HostedAgent } from '../agents/hosted-agent.ts';
import type { Entry } from '../domain/queue.ts';
import { SESSION_LOST } from '../domain/receipt.ts';
import type { InboxTable } from '../store/inbox-table.ts';
import type { OutboxTable } from '../store/outbox-table.ts';
import type { Turns } from '../store/turns.ts';
import type { Backpressure } from './backpressure.ts';
import type { Custody } from './custody.ts';
import { StreamSession } from './stream-session.ts';

export interface TickerParts {
  readonly clock: Clock;
  readonly book: AgentBook;
  readonly custody: Custody;
  readonly inbox: InboxTable;
  readonly outbox: OutboxTable;
  readonly backpressure: Backpressure;
  readonly turns: Turns;
  readonly announceMs: number;
  readonly observeMs: number;
  readonly dedupeMs: number;
}

const SLOW_TICK_MS = 1000;
/** Rows forgotten in one step. */
const SWEEP_ROWS = 5000;

export class Ticker {
  readonly #parts: TickerParts;
  readonly #unannounced = new Deque<Entry>();
  #fast: NodeJS.Timeout | undefined;
  #slow: NodeJS.Timeout | undefined;
  #sweeping = false;

  constructor(parts: TickerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#fast = setInterval(() => this.#announce(), Math.max(10, this.#parts.announceMs / 2));
    this.#slow = setInterval(() => this.#slowTick(), SLOW_TICK_MS);
  }

  stop(): void {
    clearInterval(this.#fast);
    clearInterval(this.#slow);
  }

  /** A message was taken in, or has come further. */
  watch(entry: Entry): void {
    entry.announced = false;
    this.#unannounced.push(entry);
  }

  /** Messages that have not ended within `announceMs` are reported once, as held or delivered. */
  #announce(): void {
    const before = this.#parts.clock.nowUs() - this.#parts.announceMs * 1000;
    const due: Entry[] = [];
    for (let head = this.#unannounced.at(0); head !== undefined; head = this.#unannounced.at(0)) {
      if (Math.max(head.heldAtUs, head.deliveredAtUs) > before) break;
      this.#unannounced.shift();
      if (!head.ended && !head.announced) due.push(head);
    }
    if (due.length === 0 && !this.#sweeping) return;
    this.#parts.turns.add(() => {
      for (const entry of due) {
        if (entry.ended) continue;
        entry.announced = true;
        this.#parts.custody.report(entry, entry.deliveredAtUs > 0 ? Stage.DELIVERED : Stage.HELD);
      }
      if (this.#sweeping) this.#sweep();
    });
  }

  #slowTick(): void {
    this.#sweeping = true;
    this.#parts.turns.add(() => {
      this.#parts.backpressure.expire();
      for (const agent of this.#parts.book.present()) {
        if (agent.queue.depth === 0) continue;
        this.#parts.custody.expire(agent);
        if (agent.taker instanceof StreamSession) this.#unproven(agent);
        else if (agent.taker === undefined) this.#abandoned(agent);
      }
    });
  }

  /** Delivered to a session that lives, and not acknowledged in time: reported; the acknowledgement may still come. */
  #unproven(agent: HostedAgent): void {
    const before = this.#parts.clock.nowUs() - this.#parts.observeMs * 1000;
    for (const entry of agent.queue.attempted.values()) {
      if (entry.unconfirmed || entry.deliveredAtUs === 0) continue;
      if (entry.deliveredAtUs > before) break;
      this.#parts.custody.report(entry, Stage.UNCONFIRMED, 'NOT_ACKNOWLEDGED', 'no acknowledgement in time');
      entry.unconfirmed = true;
    }
  }

  /** Delivered to a client that may resume, but did not before the deadline. */
  #abandoned(agent: HostedAgent): void {
    const nowUs = this.#parts.clock.nowUs();
    const late = [...agent.queue.attempted.values()].filter((entry) => entry.deadlineUs <= nowUs);
    if (late.length > 0) this.#parts.custody.end(late, SESSION_LOST);
  }

  #sweep(): void {
    const before = this.#parts.clock.nowUs() - this.#parts.dedupeMs * 1000;
    const sent = this.#parts.outbox.sweepSent(before, SWEEP_ROWS);
    const seen = this.#parts.inbox.sweep(before, SWEEP_ROWS);
    this.#sweeping = Math.max(sent, seen) === SWEEP_ROWS;
  }
}
