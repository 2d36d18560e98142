/**
 * One ingest loop: pulls what a consumer has, gathers it for a moment, writes it, a transaction for some hundred rows, and
 * only then acknowledges. While it cannot write it stops pulling, so what is in memory stays bounded.
 */

import type { Broker, PulledBatch, PulledMessage, PullSession } from '@fleetwire/broker';
import type { ConsumerSpec } from '@fleetwire/contract';
import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, causeChain, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { Persister, type RefuseRow } from './persist.ts';
import type { RejectDesk, Rejected } from './reject-desk.ts';

/** What one pulled message holds. */
export interface Intake<Row> {
  readonly rows: readonly Row[];
  /** What of it can never be a row. */
  readonly rejected: readonly Rejected[];
}

export interface IngestSource<Row> {
  readonly consumer: ConsumerSpec;
  /** Never throws: what cannot be read is in `rejected`. */
  read(message: PulledMessage): Intake<Row>;
  /** Makes one row of those with the same key, in the order in which they are to be locked. */
  combine(rows: Row[]): Row[];
  /** One transaction, all or nothing, safe to repeat. `refuse`: a row that it leaves out, and why. */
  save(rows: readonly Row[], refuse?: RefuseRow<Row>): Promise<void>;
  /** Tells others of rows that are stored; repeated, with all of them, until it resolves. */
  tell?(rows: readonly Row[]): Promise<void>;
  /** A row that PostgreSQL refuses, or that was left out, for the dead letters. */
  refuse(row: Row, error: unknown): Rejected;
}

export interface IngestLimits {
  /** How long what has arrived may wait for more. */
  readonly flushMs: number;
  /** From so many rows on, with those that can never be rows, they are one transaction: its last message may bring more. */
  readonly flushRows: number;
  /** From so many bytes on nothing waits for more. */
  readonly flushBytes: number;
  readonly pullMessages: number;
  readonly pullBytes: number;
  readonly backoff: BackoffPolicy;
}

export interface IngestStats {
  messages: number;
  rows: number;
  /** Rows sent to the database, after those with the same key became one. */
  written: number;
  rejected: number;
  flushes: number;
}

/** What one transaction writes, and the messages that are acknowledged after it. */
interface Part<Row> {
  readonly messages: PulledMessage[];
  readonly rows: Row[];
  readonly rejected: Rejected[];
}

/** While something cannot be told. */
const TRIES_PER_LOG_LINE = 10;

export class IngestLoop<Row> {
  readonly name: string;
  readonly stats: IngestStats = { messages: 0, rows: 0, written: 0, rejected: 0, flushes: 0 };
  readonly #broker: Broker;
  readonly #source: IngestSource<Row>;
  readonly #limits: IngestLimits;
  readonly #desk: RejectDesk;
  readonly #log: Logger;
  readonly #persister: Persister<Row>;
  readonly #stopping = new AbortController();
  #session: PullSession | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(
    broker: Broker,
    source: IngestSource<Row>,
    limits: IngestLimits,
    desk: RejectDesk,
    log: Logger,
  ) {
    this.name = source.consumer.durable_name;
    this.#broker = broker;
    this.#source = source;
    this.#limits = limits;
    this.#desk = desk;
    this.#log = log;
    this.#persister = new Persister({
      what: this.name,
      save: (rows, refuse) => source.save(rows, refuse),
      backoff: limits.backoff,
      log,
      stopping: this.#stopping.signal,
    });
  }

  /** True while what was pulled cannot be written. */
  get waiting(): boolean {
    return this.#persister.waiting;
  }

  async start(): Promise<void> {
    const { stream, durable_name } = this.#source.consumer;
    const { pullMessages: batch, pullBytes: maxBytes } = this.#limits;
    this.#session = this.#broker.pull(stream, durable_name, { batch, maxBytes });
    this.#ended = this.#run(this.#session).catch((error: unknown) => {
      this.#log.error({ what: this.name, cause: causeChain(error) }, 'ingest has ended');
    });
  }

  /** Writes what has been pulled when PostgreSQL is there; what cannot be written now comes again later. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#session?.stop();
    await this.#ended;
  }

  async #run(session: PullSession): Promise<void> {
    const batches = session[Symbol.asyncIterator]();
    let next = nextOf(batches);
    for (;;) {
      const first = await next;
      if (first.done === true) return;
      const waiting = [...first.value];
      ({ next } = await this.#gather(waiting, batches, nextOf(batches)));
      for (const part of this.#parts(waiting)) if (!(await this.#flush(part))) return;
    }
  }

  /** Adds what arrives within the time and the bytes; gives the pull that is still open. */
  async #gather(
    waiting: PulledMessage[],
    batches: AsyncIterator<PulledBatch>,
    open: Promise<IteratorResult<PulledBatch>>,
  ): Promise<{ next: Promise<IteratorResult<PulledBatch>> }> {
    let next = open;
    const { flushMs, flushBytes, pullBytes } = this.#limits;
    const until = performance.now() + flushMs;
    const enough = Math.min(flushBytes, pullBytes);
    for (let bytes = bytesOf(waiting); bytes < enough; ) {
      const more = await within(next, until - performance.now());
      if (more === undefined || more.done === true) break;
      waiting.push(...more.value);
      bytes += bytesOf(more.value);
      next = nextOf(batches);
    }
    return { next };
  }

  /**
   * Cut at messages, so that each is acknowledged after the one transaction that holds all of it. Read only when it is
   * their turn: some thousand rows are ten times their bytes, and while they waited for more they would have outlived
   * the young generation of the heap.
   */
  *#parts(waiting: readonly PulledMessage[]): Iterable<Part<Row>> {
    let part: Part<Row> = { messages: [], rows: [], rejected: [] };
    for (const message of waiting) {
      const { rows, rejected } = this.#source.read(message);
      part.messages.push(message);
      for (const row of rows) part.rows.push(row);
      for (const one of rejected) part.rejected.push(one);
      if (part.rows.length + part.rejected.length < this.#limits.flushRows) continue;
      yield part;
      part = { messages: [], rows: [], rejected: [] };
    }
    if (part.messages.length > 0) yield part;
  }

  /** False when stopped before it was written: it is not acknowledged and comes again. */
  async #flush(part: Part<Row>): Promise<boolean> {
    const read = part.rows.length;
    const rows = this.#source.combine(part.rows);
    const refused = await this.#persister.write(rows);
    if (refused === undefined || !(await this.#tell(rows, refused))) return false;
    const rejected = [...part.rejected, ...refused.map(({ row, error }) => this.#source.refuse(row, error))];
    if (rejected.length > 0 && !(await this.#desk.take(this.name, rejected, this.#stopping.signal)))
      return false;
    for (const message of part.messages) message.ack();
    this.#count(part, read, rows.length, rejected.length);
    return true;
  }

  /** False when stopped before that. Apart from the writing, which is not repeated for it. */
  async #tell(rows: readonly Row[], refused: readonly { readonly row: Row }[]): Promise<boolean> {
    if (this.#source.tell === undefined) return true;
    const unsaid = new Set(refused.map(({ row }) => row));
    const stored = unsaid.size === 0 ? rows : rows.filter((row) => !unsaid.has(row));
    const { signal } = this.#stopping;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#source.tell(stored);
        return true;
      } catch (error) {
        if (attempt % TRIES_PER_LOG_LINE === 0)
          this.#log.warn({ what: this.name, cause: causeChain(error) }, 'stored, but cannot tell of it yet');
        await pause(backoffMs(this.#limits.backoff, attempt), signal);
      }
    }
    return false;
  }

  #count({ messages }: Part<Row>, read: number, written: number, rejected: number): void {
    this.stats.flushes++;
    this.stats.messages += messages.length;
    this.stats.rows += read;
    this.stats.written += written;
    this.stats.rejected += rejected;
  }
}

function bytesOf(messages: readonly PulledMessage[]): number {
  return messages.reduce((sum, { data }) => sum + data.length, 0);
}

/** Pulls ahead; a fault surfaces where it is awaited, not as an unhandled one. */
function nextOf(batches: AsyncIterator<PulledBatch>): Promise<IteratorResult<PulledBatch>> {
  const next = batches.next();
  next.catch(() => undefined);
  return next;
}

/** What the promise gives, or undefined when that takes longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  if (ms <= 0) return undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
