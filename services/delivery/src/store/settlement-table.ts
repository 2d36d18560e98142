/** Settlements: the first receipt of a message is a bulk insert without reads; a later one is merged under a row lock. */

import { completeReceipt } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Receipt } from '@fleetwire/gen/message';
import type { CopyColumn, Store, StoreTransaction } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import { compareHops } from '../domain/hops.ts';
import { isSameProof } from '../domain/proof.ts';
import type { Contradicted, Settlement, SettlementSubject } from '../domain/settlement.ts';
import { mergedReceipt, mergeSettlements, restoreSettlement } from '../domain/settlement.ts';
import { columnArrays, textArray } from './array-literal.ts';

export interface SettlementRow {
  readonly org: string;
  readonly messageId: string;
  /** Empty when the address led to nobody. */
  readonly recipient: string;
  readonly settlement: Settlement;
  /** When the broker stored the first receipt, in broker time: how long it is kept does not hang on a node's clock. */
  readonly storedAtUs: number;
  /** The receipt as it came, when that says all that the settlement does; undefined: encoded anew. */
  readonly encoded: Uint8Array | undefined;
}

const UNNEST = `unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::int[], $6::int[], $7::text[],
    $8::bigint[], $9::text[], $11::int[], $12::int[],
    $13::bigint[]) as r (org, message_id, recipient, stage, final, delivered_ends, reason, at_us, publishers,
      start, size, stored_at_us)`;

/** In the order of the parameters of UNNEST. */
const COLUMNS: readonly CopyColumn<SettlementRow>[] = [
  { name: 'org', type: 'text', value: (row) => row.org },
  { name: 'message_id', type: 'text', value: (row) => row.messageId },
  { name: 'recipient', type: 'text', value: (row) => row.recipient },
  { name: 'stage', type: 'int2', value: (row) => row.settlement.stage },
  { name: 'final', type: 'bool', value: (row) => row.settlement.final },
  { name: 'delivered_ends', type: 'bool', value: (row) => row.settlement.deliveredEnds },
  { name: 'reason', type: 'text', value: (row) => columnText(row.settlement.reason) },
  { name: 'at_us', type: 'int8', value: (row) => row.settlement.atUs },
  { name: 'publishers', type: 'text', value: (row) => row.settlement.publishers.join(',') },
  { name: 'receipt', type: 'bytea', value: encodeRow },
  { name: 'stored_at_us', type: 'int8', value: (row) => row.storedAtUs },
];
const KEY = COLUMNS.slice(0, 3);

const INSERT = `
  with inserted as (
    insert into settlements
      (org, message_id, recipient, stage, final, delivered_ends, reason, at_us, publishers, stored_at_us, receipt)
    select r.org, r.message_id, r.recipient, r.stage, r.final <> 0, r.delivered_ends <> 0, r.reason, r.at_us,
      r.publishers, r.stored_at_us, substring($10::bytea from r.start for r.size)
    from ${UNNEST}
    on conflict do nothing
    returning 1)
  select count(*)::int as count from inserted`;

const UPDATE = `
  update settlements s set stage = r.stage, final = r.final <> 0, delivered_ends = r.delivered_ends <> 0,
    reason = r.reason, at_us = r.at_us, publishers = r.publishers,
    receipt = substring($10::bytea from r.start for r.size)
  from ${UNNEST}
  where s.org = r.org and s.message_id = r.message_id and s.recipient = r.recipient
    and s.message_id between $14 and $15`;

/** Rows that this very transaction has inserted need no merge: xmin tells them from the ones that were there. */
const LOCK_EARLIER = `
  select k.position::int - 1 as position, s.delivered_ends as "deliveredEnds", s.publishers, s.receipt
  from unnest($1::text[], $2::text[], $3::text[]) with ordinality
    as k (org, message_id, recipient, position)
  join settlements s on s.org = k.org and s.message_id = k.message_id and s.recipient = k.recipient
  where s.xmin <> pg_current_xact_id()::xid and s.message_id between $4 and $5
  order by k.position
  for update of s`;

export interface KeptSettlement {
  readonly deliveredEnds: boolean;
  readonly publishers: string;
  readonly receipt: Uint8Array;
}

/**
 * Merges the rows into the table within `tx`. The rows must be unique by (org, message, recipient) and in
 * `compareSettlementRows` order: replicas that write the same rows then wait for each other in one direction.
 */
export async function saveSettlements(
  tx: StoreTransaction,
  rows: readonly SettlementRow[],
  contradicted?: Contradicted,
): Promise<void> {
  if (rows.length === 0) return;
  const [inserted] = await tx.query<{ count: number }>(INSERT, columnArrays(COLUMNS, rows));
  if (inserted!.count === rows.length) return;
  // In order, so the first and the last are the bounds.
  const bounds = [rows[0]!.messageId, rows.at(-1)!.messageId];
  const keys = [...columnArrays(KEY, rows), ...bounds];
  const earlier = await tx.query<KeptSettlement & { position: number }>(LOCK_EARLIER, keys);
  const changed: SettlementRow[] = [];
  for (const kept of earlier) {
    const row = rows[kept.position]!;
    const before = restore(kept);
    contradicted?.(before, row.settlement);
    const merged = mergeSettlements(before, row.settlement);
    if (!isSame(before, merged)) changed.push({ ...row, settlement: merged, encoded: undefined });
  }
  if (changed.length > 0) await tx.query(UPDATE, [...columnArrays(COLUMNS, changed), ...bounds]);
}

/** For rows that are most likely all new: fails with a unique violation, and writes nothing, when one is not. */
export async function insertSettlements(store: Store, rows: readonly SettlementRow[]): Promise<void> {
  await store.copy('settlements', COLUMNS, rows);
}

/** The order in which rows are locked. */
export function compareSettlementRows(a: SettlementRow, b: SettlementRow): number {
  if (a.messageId !== b.messageId) return a.messageId < b.messageId ? -1 : 1;
  if (a.recipient !== b.recipient) return a.recipient < b.recipient ? -1 : 1;
  if (a.org !== b.org) return a.org < b.org ? -1 : 1;
  return 0;
}

function encodeRow(row: SettlementRow): Uint8Array {
  if (row.encoded !== undefined) return row.encoded;
  return encode(Receipt, mergedReceipt(row.messageId, row.recipient, row.settlement));
}

export function restore(kept: KeptSettlement): Settlement {
  const publishers = kept.publishers.split(',');
  // What was kept as it came has one publisher; what was merged is complete.
  const receipt = completeReceipt(Receipt.decode(kept.receipt), publishers[0]!);
  return restoreSettlement(receipt, kept.deliveredEnds, publishers);
}

/** A repeat changes nothing and costs no write. */
function isSame(before: Settlement, after: Settlement): boolean {
  const hopsSame =
    before.hops.length === after.hops.length &&
    before.hops.every((hop, i) => compareHops(hop, after.hops[i]!) === 0);
  if (!hopsSame || before.deliveredEnds !== after.deliveredEnds) return false;
  if (!isSameProof(before.proof, after.proof)) return false;
  if (before.publishers.length !== after.publishers.length) return false;
  const keys = Object.keys(after.about) as (keyof SettlementSubject)[];
  return keys.every((key) => before.about[key] === after.about[key]);
}

/** The least and the greatest: by them the planner leaves out the partitions in which none can be. */
function boundsOf(messageIds: readonly string[]): [string, string] {
  let least = messageIds[0] ?? '';
  let greatest = least;
  for (const id of messageIds) {
    if (id < least) least = id;
    if (id > greatest) greatest = id;
  }
  return [columnText(least), columnText(greatest)];
}

export interface StoredSettlement {
  readonly messageId: string;
  readonly recipient: string;
  readonly settlement: Settlement;
}

/** Of each of the messages at most `limitEach` settlements, by recipient. */
export async function findSettlements(
  store: Store,
  org: string,
  messageIds: readonly string[],
  limitEach: number,
): Promise<StoredSettlement[]> {
  const sql = `
    select k.id as "messageId", s.recipient, s.delivered_ends as "deliveredEnds", s.publishers, s.receipt
    from unnest($2::text[]) as k (id)
    cross join lateral (select * from settlements
      where org = $1 and message_id = k.id and message_id between $4 and $5 order by recipient limit $3) s`;
  const rows = await store.ask<KeptSettlement & { messageId: string; recipient: string }>(org, sql, [
    org,
    textArray(messageIds, columnText),
    limitEach,
    ...boundsOf(messageIds),
  ]);
  return rows.map((row) => ({
    messageId: row.messageId,
    recipient: row.recipient,
    settlement: restore(row),
  }));
}
