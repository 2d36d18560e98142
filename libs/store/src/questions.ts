/**
 * Connections for questions, apart from those that write: however many are asked, what arrives is stored. Each keeps the plans
 * of what it was asked before, made without a look at the values: over a table of many partitions planning anew costs more
 * than the answer (https://www.postgresql.org/docs/17/sql-prepare.html#SQL-PREPARE-NOTES).
 */

import { invariant } from '@fleetwire/kernel';
import { Pool } from 'pg';
import { FairTurns } from './fair-turns.ts';
import type { ClientPool } from './pool-guard.ts';
import { isStoreAway } from './store-errors.ts';

/** Questions of one asker that wait, and for how long. */
const WAITING_EACH = 100;
const WAIT_MS = 10_000;
/** Plans that a connection keeps, each some hundred KiB over many partitions. */
const TEXTS_MAX = 200;

export class Questions {
  readonly #pool: Pool;
  /** By the text: the server knows a statement by its name. */
  readonly #names = new Map<string, string>();
  readonly #turns: FairTurns;

  /** Like the pool that writes, with at most `max` connections. */
  constructor({ options }: ClientPool, max: number) {
    this.#pool = new Pool({
      ...options,
      // The pool hides it from what copies its options.
      password: options.password,
      min: 0,
      max,
      options: `${options.options} -c plan_cache_mode=force_generic_plan`,
    });
    this.#turns = new FairTurns({ turns: max, waitingEach: WAITING_EACH, waitMs: WAIT_MS });
    // One that dies is replaced when the next question comes; who waits for its answer is told by that.
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
  }

  /** Rejects with resource_exhausted STORE_BUSY, or with what the driver gives. */
  ask<T>(who: string, sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.#turns.run(who, () => this.#askNow<T>(sql, params));
  }

  async #askNow<T>(sql: string, params: readonly unknown[]): Promise<T[]> {
    const name = this.#nameOf(sql);
    const client = await this.#pool.connect();
    let lost = false;
    try {
      const { rows } = await client.query({ name, text: sql, values: params });
      return rows as T[];
    } catch (error) {
      lost = isStoreAway(error);
      throw error;
    } finally {
      client.release(lost);
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  #nameOf(sql: string): string {
    let name = this.#names.get(sql);
    if (name === undefined) {
      invariant(this.#names.size < TEXTS_MAX, 'questions have few texts: values are parameters');
      name = `question_${this.#names.size}`;
      this.#names.set(sql, name);
    }
    return name;
  }
}
