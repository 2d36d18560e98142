/** Receipts of which it is not known yet whether their publisher may say so: kept until that is found out. */

import type { Store, StoreTransaction } from '@fleetwire/store';
import { columnArrays, numberArray, textArray } from './array-literal.ts';

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

export async function saveDoubts(
  tx: Pick<StoreTransaction, 'query'>,
  rows: readonly DoubtRow[],
): Promise<void> {
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

/** Those that are due to be looked at, the oldest first. Replicas may look at the same one: `takeDoubts` decides. */
export function dueDoubts(store: Pick<Store, 'query'>, limit: number): Promise<OpenDoubt[]> {
  return store.query<OpenDoubt>(
    `select stream, sequence, part, stored_at_us as "storedAtUs", org, message_id as "messageId", recipient, publisher,
       to_node as "toNode", receipt, ingress_sequence as "ingressSequence", looks
     from doubts where look_at <= now() order by look_at limit $1`,
    [limit],
  );
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

/** They are looked at again after `pauseMs`, once history has read ingress up to `ingressSequence`. */
export async function putOffDoubts(
  store: Pick<Store, 'query'>,
  keys: readonly DoubtKey[],
  pauseMs: number,
  ingressSequence: number,
): Promise<void> {
  if (keys.length === 0) return;
  await store.query(
    `update doubts d set look_at = now() + $5 * interval '1 millisecond', looks = looks + 1,
       ingress_sequence = coalesce(d.ingress_sequence, $6)
     from ${KEYS} where ${SAME}`,
    [...keyArrays(keys), pauseMs, ingressSequence],
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
