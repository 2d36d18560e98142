/** Ends the keeping of history: deletes what the broker stored before a time, a bounded number of rows at once. */

import type { Store } from '@fleetwire/store';

const TABLES = [
  { table: 'messages', time: 'ingress_at_us' },
  { table: 'settlements', time: 'stored_at_us' },
  { table: 'dead_letters', time: 'stored_at_us' },
] as const;

/** Deletes at most `limit` rows of each table; gives how many there were in the fullest of them. */
export async function deleteOlderThan(store: Store, beforeUs: number, limit: number): Promise<number> {
  let most = 0;
  for (const { table, time } of TABLES) {
    const sql = `with gone as (
        delete from ${table} where ctid = any(array(
          select ctid from ${table} where ${time} < $1 limit $2)) returning 1)
      select count(*)::int as count from gone`;
    const [row] = await store.query<{ count: number }>(sql, [beforeUs, limit]);
    most = Math.max(most, row?.count ?? 0);
  }
  return most;
}
