/**
 * Ends the keeping of history: whole partitions go at once; what no partition was made for, and dead letters, row by row,
 * by when the broker stored them, a bounded number at a time.
 */

import type { Store } from '@fleetwire/store';
import { listPartitions } from './partitions.ts';

const ROWS = [
  { table: 'messages', key: 'id', time: 'ingress_at_us' },
  { table: 'origins', key: 'id', time: 'ingress_at_us' },
  { table: 'settlements', key: 'message_id', time: 'stored_at_us' },
  { table: 'dead_letters', key: '', time: 'stored_at_us' },
  { table: 'replays', key: '', time: 'decided_at_us' },
  { table: 'letter_requests', key: '', time: 'begun_at_us' },
] as const;

/** Deletes at most `limit` rows of each table; gives how many there were in the fullest of them. */
export async function deleteOlderThan(store: Store, beforeUs: number, limit: number): Promise<number> {
  // What was there before there were partitions is one of them, without a lower bound, and long.
  const unbounded = (await listPartitions(store)).filter(({ from }) => from === '').map(({ name }) => name);
  let most = 0;
  for (const { table, key, time } of ROWS) {
    if (key === '') most = Math.max(most, await deleteRows(store, table, time, beforeUs, limit));
    else
      for (const part of ['default', 'before'])
        if (part === 'default' || unbounded.includes(`${table}_before`))
          most = Math.max(most, await deletePart(store, table, part, time, beforeUs, limit));
  }
  return most;
}

async function deletePart(
  store: Store,
  table: 'messages' | 'origins' | 'settlements',
  part: string,
  time: string,
  beforeUs: number,
  limit: number,
): Promise<number> {
  if (table !== 'messages') return deleteRows(store, `${table}_${part}`, time, beforeUs, limit);
  const words = `, found as (
    delete from message_words_${part} w using gone where w.org = gone.org and w.id = gone.id)`;
  return deleteRows(store, `messages_${part}`, time, beforeUs, limit, 'org, id', words);
}

async function deleteRows(
  store: Store,
  table: string,
  time: string,
  beforeUs: number,
  limit: number,
  returned = '1',
  also = '',
): Promise<number> {
  const sql = `with gone as (
      delete from ${table} where ctid = any(array(
        select ctid from ${table} where ${time} < $1 limit $2)) returning ${returned})${also}
    select count(*)::int as count from gone`;
  const [row] = await store.query<{ count: number }>(sql, [beforeUs, limit]);
  return row?.count ?? 0;
}
