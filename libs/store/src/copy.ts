/** Bulk inserts by COPY: whole pages at a time, where `insert` takes a row, and a record of the log, each. */

import { finished } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import type { CopyColumn } from './copy-format.ts';
import { encodeCopy } from './copy-format.ts';
import type { ClientPool } from './pool-guard.ts';
import { isStoreAway } from './store-errors.ts';

/** One transaction of its own. Rejects with what the driver gives. */
export async function copyRows<Row>(
  pool: ClientPool,
  table: string,
  columns: readonly CopyColumn<Row>[],
  rows: readonly Row[],
): Promise<void> {
  const payload = encodeCopy(columns, rows);
  const names = columns.map(({ name }) => `"${name}"`).join(', ');
  const client = await pool.connect();
  let lost = false;
  try {
    const stream = copyFrom(`copy "${table}" (${names}) from stdin (format binary)`);
    void client.query(stream);
    stream.end(payload);
    await finished(stream);
  } catch (error) {
    lost = isStoreAway(error);
    throw error;
  } finally {
    client.release(lost);
  }
}
