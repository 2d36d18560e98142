/** Writes rows until they are written: waits while PostgreSQL is away, and sets apart the row it can never take. */

import type { BackoffPolicy } from '@fleetwire/kernel';
import { backoffMs, causeChain, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { isPoison } from '../domain/poison.ts';

export interface PersistOptions<Row> {
  /** For the log: what the rows are. */
  readonly what: string;
  /** One transaction, all or nothing, safe to repeat. `refuse`: a row that it leaves out, and why. */
  readonly save: (rows: readonly Row[], refuse: RefuseRow<Row>) => Promise<void>;
  readonly backoff: BackoffPolicy;
  readonly log: Logger;
  readonly stopping: AbortSignal;
}

/** A row that the database refuses by itself, and why. */
export interface RefusedRow<Row> {
  readonly row: Row;
  readonly error: unknown;
}

export type RefuseRow<Row> = (row: Row, error: unknown) => void;

/** Every so many failed tries in a row the log says that it is still waiting. */
const TRIES_PER_LOG_LINE = 10;

export class Persister<Row> {
  readonly #o: PersistOptions<Row>;
  #failures = 0;

  constructor(options: PersistOptions<Row>) {
    this.#o = options;
  }

  /** True from the first failed try until rows could be written again. */
  get waiting(): boolean {
    return this.#failures > 0;
  }

  /**
   * Resolves when every row is committed or known to be refused for what is in it, with the refused ones.
   * Undefined: stopped before that; some rows may be committed, and all of them must come again.
   */
  async write(rows: readonly Row[]): Promise<RefusedRow<Row>[] | undefined> {
    const refused: RefusedRow<Row>[] = [];
    const open: (readonly Row[])[] = rows.length > 0 ? [rows] : [];
    for (let part = open.pop(); part !== undefined; part = open.pop()) {
      const fault = await this.#saveUntilDone(part);
      if (fault === STOPPED) return undefined;
      if (Array.isArray(fault)) {
        refused.push(...fault);
        continue;
      }
      if (part.length === 1) refused.push({ row: part[0]!, error: fault.error });
      else open.push(part.slice(part.length >> 1), part.slice(0, part.length >> 1));
    }
    return refused;
  }

  /** What was left out when committed, STOPPED, or the fault of one of the rows. */
  async #saveUntilDone(
    rows: readonly Row[],
  ): Promise<RefusedRow<Row>[] | { error: unknown } | typeof STOPPED> {
    const { save, backoff, stopping } = this.#o;
    for (;;) {
      const refused: RefusedRow<Row>[] = [];
      try {
        await save(rows, (row, error) => refused.push({ row, error }));
        this.#recovered();
        return refused;
      } catch (error) {
        if (isPoison(error)) return { error };
        this.#failed(error, rows.length);
        if (stopping.aborted) return STOPPED;
        await pause(backoffMs(backoff, this.#failures - 1), stopping);
        if (stopping.aborted) return STOPPED;
      }
    }
  }

  #failed(error: unknown, rows: number): void {
    const { log, what } = this.#o;
    if (this.#failures++ % TRIES_PER_LOG_LINE === 0)
      log.warn({ what, rows, tries: this.#failures, cause: causeChain(error) }, 'cannot write, trying on');
  }

  #recovered(): void {
    const { log, what } = this.#o;
    if (this.#failures > 0) log.info({ what, tries: this.#failures }, 'writing again');
    this.#failures = 0;
  }
}

const STOPPED = Symbol('stopped');
