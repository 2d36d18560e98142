/** The periodic work that one replica does for all: the sweep, the end of old history, what was used. Under a lease. */

import type { Broker, DedupeIds, Lease } from '@fleetwire/broker';
import type { Clock } from '@fleetwire/kernel';
import { causeChain, nowMs, pause } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';
import { SweepPlan } from '../domain/sweep-plan.ts';
import { dropPartitions, makePartitions } from '../store/partitions.ts';
import { deleteOlderThan } from '../store/retention.ts';
import { deleteUsageBefore } from '../store/usage-table.ts';
import type { OverdueSweep } from './overdue-sweep.ts';
import type { InboxStream, SweepLimits } from './sweep.ts';
import { sweepInbox } from './sweep.ts';
import { reportUsage } from './usage-report.ts';

export interface SweepTaskLimits extends SweepLimits {
  readonly intervalMs: number;
  /** Waiting messages whose deadline is remembered. */
  readonly watchMax: number;
  /** After so long the stream is read from its front again. */
  readonly rewindMs: number;
  /** 0: history is kept for ever. */
  readonly historyDays: number;
  readonly retentionIntervalMs: number;
  readonly retentionRows: number;
  readonly usageIntervalMs: number;
}

export interface SweepTaskOptions {
  /** Undefined while another replica holds the lease. */
  readonly acquire: () => Promise<Lease | undefined>;
  readonly inbox: InboxStream;
  readonly publish: Broker['store'];
  readonly receiptIds: DedupeIds;
  readonly store: Store;
  /** Made anew with each lease. */
  readonly overdue: () => OverdueSweep;
  readonly clock: Clock;
  readonly instance: string;
  readonly limits: SweepTaskLimits;
  readonly log: Logger;
}

/** Runs in a row. */
const PUT_OFF_MAX = 3;
const DAY_US = 86_400_000_000;
/** Statements of one run of the retention: the rest waits for the next run. */
const DELETES_MAX = 200;

export class SweepTask {
  readonly name = 'sweep';
  readonly stats = {
    runs: 0,
    read: 0,
    expired: 0,
    /** Messages that no node has spoken of beyond their time. */
    overdue: 0,
    deleted: 0,
    /** Partitions made, ahead of their time, and dropped, after it: of each table. */
    partitions: 0,
    dropped: 0,
    watched: 0,
    told: 0,
    leading: false,
  };
  readonly #o: SweepTaskOptions;
  readonly #stopping = new AbortController();
  #plan: SweepPlan;
  #overdue: OverdueSweep;
  #rewoundAtMs = 0;
  #putOff = 0;
  #retainedAtMs: number | undefined;
  #reportedAtMs: number | undefined;
  #lease: Lease | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: SweepTaskOptions) {
    this.#o = options;
    this.#plan = new SweepPlan(options.limits.watchMax);
    this.#overdue = options.overdue();
  }

  /** This replica does what one does for all. */
  get leads(): boolean {
    return this.#lease?.valid() === true;
  }

  start(): void {
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
    await this.#lease?.release();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await pause(this.#o.limits.intervalMs, signal);
      if (signal.aborted) return;
      try {
        if (!(await this.#lead())) continue;
        const expired = await this.#sweep();
        await this.#report();
        await this.#retain();
        await this.#endOverdue(expired);
        this.stats.runs++;
      } catch (error) {
        if (!signal.aborted) this.#o.log.warn({ cause: causeChain(error) }, 'the sweep failed, trying on');
      }
    }
  }

  /** A new leader knows nothing of what waits: it reads the stream from its front. */
  async #lead(): Promise<boolean> {
    if (this.#lease?.valid() !== true) {
      this.#lease = await this.#o.acquire();
      this.#plan = new SweepPlan(this.#o.limits.watchMax);
      this.#overdue = this.#o.overdue();
      this.#rewoundAtMs = this.#o.clock.monotonicMs();
    }
    this.stats.leading = this.#lease !== undefined;
    return this.stats.leading;
  }

  /** Gives how many messages it has ended. */
  async #sweep(): Promise<number> {
    const { inbox, publish, receiptIds, clock, instance, limits } = this.#o;
    if (clock.monotonicMs() - this.#rewoundAtMs > limits.rewindMs) {
      this.#plan.rewind();
      this.#rewoundAtMs = clock.monotonicMs();
    }
    const options = { inbox, store: publish, receiptIds, clock, instance, limits };
    const { read, expired } = await sweepInbox(this.#plan, options, () => this.#mayGoOn());
    this.stats.read += read;
    this.stats.expired += expired;
    this.stats.watched = this.#plan.watched;
    if (expired > 0) this.#o.log.info({ expired }, 'waiting messages have expired');
    return expired;
  }

  /**
   * Last of all, since it may be long. While receipts of what has just expired are on the way it waits, but not for ever: there
   * may always be some, and a second end with the same stage loses to the first.
   */
  async #endOverdue(expired: number): Promise<void> {
    if (expired > 0 && this.#putOff++ < PUT_OFF_MAX) return;
    this.#putOff = 0;
    const ended = await this.#overdue.run(this.#plan, () => this.#mayGoOn());
    this.stats.overdue += ended;
    if (ended > 0) this.#o.log.warn({ ended }, 'messages have ended that their nodes said nothing of');
  }

  /** Usage before its history is deleted: what is told of a day can be deleted with it. */
  async #report(): Promise<void> {
    const { store, publish, clock, limits } = this.#o;
    if (!this.#isDue(this.#reportedAtMs, limits.usageIntervalMs)) return;
    this.stats.told += await reportUsage({ store, publish, clock }, () => this.#mayGoOn());
    this.#reportedAtMs = clock.monotonicMs();
  }

  async #retain(): Promise<void> {
    const { store, clock, limits } = this.#o;
    if (!this.#isDue(this.#retainedAtMs, limits.retentionIntervalMs)) return;
    const now = nowMs(clock);
    this.stats.partitions += await makePartitions(store, now, limits.historyDays);
    if (limits.historyDays > 0) await this.#expire(now);
    this.#retainedAtMs = clock.monotonicMs();
  }

  async #expire(now: number): Promise<void> {
    const { store, clock, limits } = this.#o;
    this.stats.dropped += await dropPartitions(store, now, limits.historyDays);
    const beforeUs = clock.nowUs() - limits.historyDays * DAY_US;
    for (let i = 0; i < DELETES_MAX && this.#mayGoOn(); i++) {
      const deleted = await deleteOlderThan(store, beforeUs, limits.retentionRows);
      this.stats.deleted += deleted;
      if (deleted < limits.retentionRows) break;
    }
    if (this.#mayGoOn()) await deleteUsageBefore(store, beforeUs, limits.retentionRows);
  }

  #isDue(lastAtMs: number | undefined, everyMs: number): boolean {
    return lastAtMs === undefined || this.#o.clock.monotonicMs() - lastAtMs >= everyMs;
  }

  #mayGoOn(): boolean {
    return !this.#stopping.signal.aborted && this.#lease?.valid() === true;
  }
}
