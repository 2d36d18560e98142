/** Tables `outbox` (accepted, not yet in ingress) and `sent` (ids accepted before, so that a repeated send is known). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';

export interface OutboxRow {
  readonly seq: number;
  readonly id: string;
  readonly agent: number;
  readonly local: boolean;
  /** One encoded Envelope. */
  readonly envelope: Uint8Array;
}

export interface SentRow {
  readonly seq: number;
  readonly id: string;
  readonly agent: number;
  readonly correlationId: string;
  readonly traceparent: string;
  /** Of recipient and body; undefined in rows of an earlier version. */
  readonly digest: number | undefined;
  /** Broker time. */
  readonly acceptedAtUs: number;
}

export class OutboxTable {
  readonly #insert: StatementSync;
  readonly #insertSent: StatementSync;
  readonly #findSent: StatementSync;
  readonly #deleteRun: StatementSync;
  readonly #all: StatementSync;
  readonly #sweepSent: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO outbox (id, agent, local, envelope) VALUES (?, ?, ?, ?)');
    this.#insertSent = db.prepare(
      'INSERT INTO sent (id, agent, accepted_at_us, correlation_id, traceparent, digest) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#findSent = db.prepare(
      'SELECT seq, id, agent, accepted_at_us, correlation_id, traceparent, digest FROM sent WHERE id = ?',
    );
    this.#deleteRun = db.prepare('DELETE FROM outbox WHERE seq BETWEEN ? AND ?');
    this.#all = db.prepare('SELECT seq, id, agent, local, envelope FROM outbox ORDER BY seq');
    this.#sweepSent = db.prepare(
      `DELETE FROM sent WHERE seq IN
         (SELECT seq FROM (SELECT seq, accepted_at_us FROM sent ORDER BY seq LIMIT ?) WHERE accepted_at_us < ?)`,
    );
  }

  /** The row's sequence, which grows with each call. */
  insert(id: string, agent: number, local: boolean, envelope: Uint8Array): number {
    return Number(this.#insert.run(id, agent, local ? 1 : 0, envelope).lastInsertRowid);
  }

  insertSent(
    id: string,
    agent: number,
    acceptedAtUs: number,
    correlationId: string,
    traceparent: string,
    digest: number,
  ): void {
    const kept = correlationId === id ? '' : correlationId;
    this.#insertSent.run(id, agent, acceptedAtUs, kept, traceparent, digest);
  }

  findSent(id: string): SentRow | undefined {
    const row = this.#findSent.get(id) as Record<string, string | number | null> | undefined;
    if (row === undefined) return undefined;
    const correlationId = (row['correlation_id'] as string) || id;
    const traceparent = row['traceparent'] as string;
    const digest = (row['digest'] as number | null) ?? undefined;
    const acceptedAtUs = row['accepted_at_us'] as number;
    return {
      seq: row['seq'] as number,
      id,
      agent: row['agent'] as number,
      correlationId,
      traceparent,
      digest,
      acceptedAtUs,
    };
  }

  /** Each from its first sequence to its last. */
  delete(runs: readonly { readonly first: number; readonly last: number }[]): void {
    for (const { first, last } of runs) this.#deleteRun.run(first, last);
  }

  load(): OutboxRow[] {
    return (this.#all.all() as unknown as (Omit<OutboxRow, 'local'> & { local: number })[]).map((row) => ({
      ...row,
      local: row.local === 1,
    }));
  }

  /** Forgets ids accepted before `beforeUs`, at most `limit` a step; gives how many. */
  sweepSent(beforeUs: number, limit: number): number {
    return Number(this.#sweepSent.run(limit, beforeUs).changes);
  }
}
