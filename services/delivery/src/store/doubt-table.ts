/** Receipts of which it is not known yet whether their publisher may say so: kept until that is found out. */

import type { Store, StoreTransaction } from '@fleetwire/store';
import { columnArrays, numberArray, textArray } from './array-literal.ts';
import { type DoubtRoom, weightOf } from './doubt-room.ts';

/** Where a receipt was published: names it. */
export interface DoubtKey {
  readonly stream: 'RECEIPTS' | 'DEAD';
  readonly sequence: number;
  readonly part: number;
  /** Broker time; also tells sequences of a stream that was made anew from those before. */
  readonly storedAtUs: number;
}

export interface DoubtRow extends DoubtKey {
  readonly org: string;
  readonly messageId: string;
  readonly recipient: string;
  /** A node. */
  readonly publisher: string;
  /** The node that is told. */
  readonly toNode: string;
  /** One encoded Receipt. */
  readonly receipt: Uint8Array;
}

/** A row with what was found out so far. */
export interface OpenDoubt extends DoubtRow {
  /** Up to here history must have read ingress before it knows of no such message; null: not looked at yet. */
  readonly ingressSequence: number | null;
  /** Of which stream that is a sequence: when it was made. */
  readonly ingressMade: string;
  readonly looks: number;
}

const INSERT = `
  insert into doubts (stream, sequence, part, stored_at_us, org, message_id, recipient, publisher, to_node, receipt)
  select r.stream, r.sequence, r.part, r.stored, r.org, r.message_id, r.recipient, r.publisher, r.to_node,
    substring($10::bytea from r.start for r.size)
  from unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $11::int[], $12::int[])
    as r (stream, sequence, part, stored, org, message_id, recipient, publisher, to_node, start, size)
  on conflict do nothing`;

/** Keeps those for which their publisher has room. Gives the others, which are as if they had never come. May be repeated. */
export async function saveDoubts(
  tx: Pick<StoreTransaction, 'query'>,
  rows: readonly DoubtRow[],
  room: DoubtRoom,
): Promise<ReadonlySet<DoubtRow>> {
  if (rows.length === 0) return new Set();
  const beyond = new Set<DoubtRow>();
  for (const some of Map.groupBy(rows, ({ org, publisher }) => `${org} ${publisher}`).values())
    for (const row of await beyondRoom(tx, some, room)) beyond.add(row);
  await insert(tx, beyond.size === 0 ? rows : rows.filter((row) => !beyond.has(row)));
  return beyond;
}

/** `rows`: of one publisher. What is kept of them already needs no room. */
async function beyondRoom(
  tx: Pick<StoreTransaction, 'query'>,
  rows: readonly DoubtRow[],
  room: DoubtRoom,
): Promise<readonly DoubtRow[]> {
  const wanted = rows.reduce((sum, row) => sum + weightOf(row), 0);
  let left = await room.take(tx, rows[0]!, wanted);
  if (left === wanted) return [];
  const kept = await tx.query<DoubtKey>(
    `select d.stream, d.sequence, d.part, d.stored_at_us as "storedAtUs" from doubts d join ${KEYS} on ${SAME}`,
    keyArrays(rows),
  );
  const known = new Set(kept.map(doubtName));
  return rows.filter((row) => {
    if (known.has(doubtName(row))) return false;
    left -= weightOf(row);
    return left < 0;
  });
}

async function insert(tx: Pick<StoreTransaction, 'query'>, rows: readonly DoubtRow[]): Promise<void> {
  if (rows.length === 0) return;
  const columns = [
    { name: 'stream', type: 'text', value: (row: DoubtRow) => row.stream },
    { name: 'sequence', type: 'int8', value: (row: DoubtRow) => row.sequence },
    { name: 'part', type: 'int8', value: (row: DoubtRow) => row.part },
    { name: 'stored_at_us', type: 'int8', value: (row: DoubtRow) => row.storedAtUs },
    { name: 'org', type: 'text', value: (row: DoubtRow) => row.org },
    { name: 'message_id', type: 'text', value: (row: DoubtRow) => row.messageId },
    { name: 'recipient', type: 'text', value: (row: DoubtRow) => row.recipient },
    { name: 'publisher', type: 'text', value: (row: DoubtRow) => row.publisher },
    { name: 'to_node', type: 'text', value: (row: DoubtRow) => row.toNode },
    { name: 'receipt', type: 'bytea', value: (row: DoubtRow) => row.receipt },
  ] as const;
  await tx.query(INSERT, columnArrays(columns, rows));
}

/** From publisher to publisher along the index, however many doubts one of them has. */
const DUE = `
  with recursive publishers as (
    (select org, publisher from doubts order by org, publisher limit 1)
    union all
    select n.org, n.publisher from publishers p cross join lateral (
      select org, publisher from doubts where (org, publisher) > (p.org, p.publisher)
      order by org, publisher limit 1) n),
  due as materialized (
    select org, publisher from publishers p where exists (
      select from doubts where org = p.org and publisher = p.publisher and look_at <= now())),
  share as (
    select greatest(1, ceil($1::numeric / greatest(1, count(*))))::int as rows, $2 / greatest(1, count(*)) as bytes from due)
  select d.*, (select rows from share) as share
  from due cross join lateral (
    select * from (
      select stream, sequence, part, stored_at_us as "storedAtUs", org, message_id as "messageId", recipient, publisher,
        to_node as "toNode", receipt, ingress_sequence as "ingressSequence", ingress_made as "ingressMade", looks, look_at,
        sum(octet_length(receipt)) over (order by look_at rows between unbounded preceding and 1 preceding) as ahead
      from (select * from doubts where org = due.org and publisher = due.publisher and look_at <= now()
        order by look_at limit (select rows from share)) oldest) weighed
    where ahead is null or ahead < (select bytes from share)) d
  order by d.look_at limit $1`;

/** Of receipts that are in memory together, but for the last one of each publisher. */
const LOOK_BYTES = 16 * 1024 * 1024;

export interface DueDoubts {
  readonly doubts: readonly OpenDoubt[];
  /** There may be more of them now. */
  readonly more: boolean;
}

/**
 * Those that are due to be looked at: of each publisher its oldest, so many that all have the same share of `limit`. Replicas
 * may look at the same one: `takeDoubts` decides.
 */
export async function dueDoubts(store: Pick<Store, 'query'>, limit: number): Promise<DueDoubts> {
  const doubts = await store.query<OpenDoubt & { share: number }>(DUE, [limit, LOOK_BYTES]);
  const each = Map.groupBy(doubts, ({ org, publisher }) => `${org} ${publisher}`);
  const more = doubts.length === limit || [...each.values()].some((some) => some.length === some[0]!.share);
  return { doubts, more };
}

/** Takes them away within `tx`; gives those that were still there, which are the caller's to see to. */
export async function takeDoubts(
  tx: Pick<StoreTransaction, 'query'>,
  keys: readonly DoubtKey[],
): Promise<Set<string>> {
  if (keys.length === 0) return new Set();
  const rows = await tx.query<DoubtKey>(
    `delete from doubts d using ${KEYS} where ${SAME}
     returning d.stream, d.sequence, d.part, d.stored_at_us as "storedAtUs"`,
    keyArrays(keys),
  );
  return new Set(rows.map(doubtName));
}

/** How long until one is looked at again: doubles with each look at it. */
const AGAIN_MS = 250;
const AGAIN_MAX_MS = 30_000;
const DOUBLINGS_MAX = 10;

/** They are looked at again later, each by how often it was, once history has read `ingress` up to its present end. */
export async function putOffDoubts(
  store: Pick<Store, 'query'>,
  keys: readonly DoubtKey[],
  { last, made }: { readonly last: number; readonly made: string },
): Promise<void> {
  if (keys.length === 0) return;
  await store.query(
    `update doubts d set looks = looks + 1, ingress_made = $6,
       look_at = now() + least($7, $8 * 2 ^ least(looks, $9)) * interval '1 millisecond',
       ingress_sequence = case when d.ingress_made = $6 then coalesce(d.ingress_sequence, $5) else $5 end
     from ${KEYS} where ${SAME}`,
    [...keyArrays(keys), last, made, AGAIN_MAX_MS, AGAIN_MS, DOUBLINGS_MAX],
  );
}

export const doubtName = ({ stream, sequence, part, storedAtUs }: DoubtKey): string =>
  `${stream} ${sequence} ${part} ${storedAtUs}`;

const KEYS = `unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[]) as k (stream, sequence, part, stored)`;
const SAME =
  'd.stored_at_us = k.stored and d.sequence = k.sequence and d.part = k.part and d.stream = k.stream';

function keyArrays(keys: readonly DoubtKey[]): unknown[] {
  return [
    textArray(keys, (key) => key.stream),
    numberArray(keys, (key) => key.sequence),
    numberArray(keys, (key) => key.part),
    numberArray(keys, (key) => key.storedAtUs),
  ];
}
