/** Bulk inserts by COPY: whole pages at a time, where `insert` takes a row, and a record of the log, each. */

import { finished } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import type { CopyColumn } from './copy-format.ts';
import { encodeCopy } from './copy-format.ts';
import type { ClientPool, PooledClient } from './pool-guard.ts';
import { isStoreAway } from './store-errors.ts';

/** One statement with $1.. parameters. */
export interface Statement {
  readonly sql: string;
  readonly params: readonly unknown[];
}

/** One transaction of its own, with the statements in it that `also` has. Rejects with what the driver gives. */
export async function copyRows<Row>(
  pool: ClientPool,
  table: string,
  columns: readonly CopyColumn<Row>[],
  rows: readonly Row[],
  also: readonly Statement[] = [],
): Promise<void> {
  const payload = encodeCopy(columns, rows);
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  const client = await pool.connect();
  let lost = false;
  try {
    if (also.length > 0) await client.query('begin');
    const stream = copyFrom(`copy "${table}" (${names}) from stdin (format binary)`);
    void client.query(stream);
    stream.end(payload);
    await finished(stream);
    for (const { sql, params } of also) await client.query(sql, params);
    if (also.length > 0) await client.query('commit');
  } catch (error) {
    lost = isStoreAway(error) || !(await isUndone(client, also));
    throw error;
  } finally {
    client.release(lost);
  }
}

/** A connection goes back to the pool outside any transaction, or not at all. */
async function isUndone(client: PooledClient, also: readonly Statement[]): Promise<boolean> {
  if (also.length === 0) return true;
  return client.query('rollback').then(
    () => true,
    () => false,
  );
}
