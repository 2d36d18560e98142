/** The partitions of history: made with what of their ids the default ones hold, listed, and dropped when their time is over. */

import { type Clock, messageIdTime, timeOfMessageId } from '@fleetwire/kernel';
import type { Store, StoreTransaction } from '@fleetwire/store';
import { keptSinceMs, missingRanges, type TimeRange } from '../domain/partition-plan.ts';

/** Cut alike, so that each of their partitions holds what belongs to the same messages. */
const TABLES = [
  { table: 'messages', key: 'id', options: '' },
  { table: 'settlements', key: 'message_id', options: 'with (fillfactor = 90)' },
  { table: 'message_words', key: 'id', options: '' },
  { table: 'origins', key: 'id', options: '' },
] as const;

/** What is not a default one. */
export interface Partition {
  readonly table: string;
  readonly name: string;
  /** The least id in it; empty: there is none. */
  readonly from: string;
  /** What is greater than each id in it. */
  readonly to: string;
}

const LIST = `
  select p.relname as "table", c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
  from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    join pg_class p on p.oid = i.inhparent and p.relkind = 'p'
  where p.relnamespace = current_schema()::regnamespace`;
const BOUND = /^FOR VALUES FROM \((?:MINVALUE|'(\w*)')\) TO \('(\w*)'\)$/;

/** Those of all tables, newest first. */
export async function listPartitions(store: Pick<Store, 'query'>): Promise<Partition[]> {
  const rows = await store.query<{ table: string; name: string; bound: string }>(LIST);
  const found = rows.flatMap(({ table, name, bound }) => {
    const match = BOUND.exec(bound);
    return match === null ? [] : [{ table, name, from: match[1] ?? '', to: match[2]! }];
  });
  return found.sort((a, b) => (a.to < b.to ? 1 : -1));
}

/** Makes what is missing; several replicas may do so at once. Gives how many ranges were made. */
export async function makePartitions(store: Store, nowMs: number, historyDays: number): Promise<number> {
  const all = await listPartitions(store);
  const newest = TABLES.flatMap(({ table }) => {
    const ends = all.filter((one) => one.table === table).flatMap(endMs);
    return ends.length === 0 ? [] : Math.max(...ends);
  });
  // A replica of a release with fewer tables may have made some of a range: the others of it are still missing.
  const ends = newest.length === 0 ? [] : [Math.min(...newest)];
  const ranges = missingRanges(ends, nowMs, historyDays);
  for (const range of ranges) await makePartition(store, range);
  return ranges.length;
}

function endMs({ to }: Partition): number[] {
  const end = timeOfMessageId(to.padEnd(26, '0'));
  return end === undefined ? [] : [end];
}

/** Waits for writers of the default partitions only, and not for long: those who write elsewhere go on. */
const LOCK_WAIT = `set local lock_timeout = '2s'`;
/** How much has to be moved is not known. */
const NO_HURRY = 'set local statement_timeout = 0';
/** Two replicas that make the same one come one after the other. */
const ALONE = `select pg_advisory_xact_lock(hashtext(current_schema() || '.partitions'))`;

/** One range in all tables, in one transaction; what the default partitions hold of it moves in. */
export async function makePartition(store: Store, { fromMs, toMs }: TimeRange): Promise<void> {
  const [from, to] = [messageIdTime(fromMs), messageIdTime(toMs)];
  const day = new Date(fromMs).toISOString().slice(0, 10).replaceAll('-', '');
  await store.transaction(async (tx) => {
    await tx.query(NO_HURRY);
    await tx.query(ALONE);
    await tx.query(LOCK_WAIT);
    for (const { table, key, options } of TABLES)
      await makeOne(tx, { table, key, options, name: `${table}_${day}`, from, to });
  });
}

interface NewPartition {
  readonly table: string;
  readonly key: string;
  readonly options: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

async function makeOne(tx: StoreTransaction, { table, key, options, name, from, to }: NewPartition) {
  const [there] = await tx.query<{ there: boolean }>('select to_regclass($1) is not null as there', [name]);
  if (there!.there) return;
  // Made apart and attached: `partition of` would stop every reader and writer of the table meanwhile.
  await tx.query(`create table ${name} (like ${table} including defaults including storage) ${options}`);
  await tx.query(`lock table ${table}_default in access exclusive mode`);
  await tx.query(
    `with moved as (delete from ${table}_default where ${key} >= $1 and ${key} < $2 returning *)
     insert into ${name} select * from moved`,
    [from, to],
  );
  await tx.query(`alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}')`);
}

/**
 * Drops the partitions of which nothing is kept any more, one by one. One that is being used stays for the next time:
 * waiting for it would make all others wait. Gives how many went.
 */
export async function dropPartitions(store: Store, nowMs: number, historyDays: number): Promise<number> {
  const keptMs = keptSinceMs(nowMs, historyDays);
  if (keptMs === undefined) return 0;
  const kept = messageIdTime(keptMs);
  const over = (await listPartitions(store)).filter(({ to }) => to <= kept);
  for (const { name } of over)
    await store.transaction(async (tx) => {
      await tx.query(`set local lock_timeout = '500ms'`);
      await tx.query(`drop table ${name}`);
    });
  return over.length;
}

const STARTS_KEPT_MS = 30_000;

/** Where the partitions of messages begin, looked up every half a minute. */
export function partitionStarts(store: Store, clock: Clock): () => Promise<readonly string[]> {
  let starts: readonly string[] = [];
  let readAtMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (clock.monotonicMs() - readAtMs >= STARTS_KEPT_MS) {
      const all = await listPartitions(store);
      starts = all.filter(({ table }) => table === 'messages').map(({ from }) => from);
      readAtMs = clock.monotonicMs();
    }
    return starts;
  };
}
