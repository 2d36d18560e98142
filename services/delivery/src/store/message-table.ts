/** History: writes accepted messages in bulk and reads one, always within one org; lists are in message-list.ts. */

import type { CopyColumn, Statement, Store } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import { columnArrays } from './array-literal.ts';
import { ORIGIN_COLUMNS, ORIGINS_CAREFUL, type Origin, type OriginRow } from './origin-table.ts';
import { PlainFirst } from './plain-first.ts';
import { accountStatement, usageOf } from './usage-table.ts';
import { queueRows } from './words-queue.ts';

export interface MessageRow {
  readonly org: string;
  readonly id: string;
  readonly acceptedAtUs: number;
  readonly ingressAtUs: number;
  /** After which it is no longer delivered, broker time. */
  readonly deadlineUs: number;
  readonly fromAgent: string;
  readonly to: string;
  readonly correlationId: string;
  /** The encoded Envelope as it is kept: byte for byte, or without the body. Undefined: of this org nothing is kept. */
  readonly envelope: Uint8Array | undefined;
  /** In place of the envelope, of an org of which nothing is kept. */
  readonly origin?: Origin | undefined;
  /** Bytes of the body that it lacks; NOTHING_LEFT_OUT: it lacks nothing. */
  readonly leftOutBytes: number;
  /** Of the envelope as it came: what the org has used. */
  readonly usedBytes: number;
  /** Has a text that it is to be found by. */
  readonly searched: boolean;
}

export const NOTHING_LEFT_OUT = -1;

type KeptRow = MessageRow & { readonly envelope: Uint8Array };
type BareRow = MessageRow & OriginRow;

/** In the order of CAREFUL's parameters. */
const COLUMNS: readonly CopyColumn<KeptRow>[] = [
  { name: 'org', type: 'text', value: (row) => row.org },
  { name: 'id', type: 'text', value: (row) => row.id },
  { name: 'accepted_at_us', type: 'int8', value: (row) => row.acceptedAtUs },
  { name: 'ingress_at_us', type: 'int8', value: (row) => row.ingressAtUs },
  { name: 'from_agent', type: 'text', value: (row) => columnText(row.fromAgent) },
  { name: 'to_address', type: 'text', value: (row) => columnText(row.to) },
  { name: 'correlation_id', type: 'text', value: (row) => columnText(row.correlationId) },
  { name: 'envelope', type: 'bytea', value: (row) => row.envelope },
  { name: 'deadline_us', type: 'int8', value: (row) => row.deadlineUs },
  { name: 'left_out_bytes', type: 'int8', value: (row) => row.leftOutBytes },
];

const CAREFUL = `
  insert into messages (org, id, accepted_at_us, ingress_at_us, from_agent, to_address, correlation_id, envelope,
    deadline_us, left_out_bytes)
  select r.org, r.id, r.accepted, r.ingress, r.sender, r.target, r.correlation,
    substring($8::bytea from r.start for r.size), r.deadline, r.left_out
  from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $9::int[], $10::int[], $11::bigint[], $12::bigint[])
    as r (org, id, accepted, ingress, sender, target, correlation, start, size, deadline, left_out)
  on conflict do nothing
  returning org, id`;

/**
 * Writes the rows, with what they add to usage and to what waits to be searchable; a message that is there already
 * stays as it is and adds nothing. Those of which nothing is kept are a transaction of their own: all may be repeated.
 */
export async function saveMessages(
  store: Store,
  rows: readonly MessageRow[],
  first = new PlainFirst(),
): Promise<void> {
  const kept = rows.filter((row): row is KeptRow => row.envelope !== undefined);
  const bare = rows.filter((row): row is BareRow => row.origin !== undefined);
  await saveNew(store, { table: 'messages', columns: COLUMNS, careful: CAREFUL, rows: kept }, first);
  const origins = { table: 'origins', columns: ORIGIN_COLUMNS, careful: ORIGINS_CAREFUL, rows: bare };
  await saveNew(store, origins, first);
}

interface NewRows<Row extends MessageRow> {
  readonly table: string;
  readonly columns: readonly CopyColumn<Row>[];
  /** Gives org and id of those that were not there. */
  readonly careful: string;
  readonly rows: readonly Row[];
}

/** All or nothing. */
async function saveNew<Row extends MessageRow>(
  store: Store,
  { table, columns, careful, rows }: NewRows<Row>,
  first: PlainFirst,
): Promise<void> {
  if (rows.length === 0) return;
  const plainly = () => store.copy(table, columns, rows, [accountOf(rows)]);
  const carefully = () =>
    store.transaction(async (tx) => {
      const inserted = await tx.query<{ org: string; id: string }>(careful, columnArrays(columns, rows));
      const keys = new Set(inserted.map(({ org, id }) => `${org} ${id}`));
      const fresh = rows.filter((row) => keys.delete(`${row.org} ${row.id}`));
      if (fresh.length === 0) return;
      const { sql, params } = accountOf(fresh);
      await tx.query(sql, params);
    });
  await first.run(plainly, carefully);
}

/** What goes with rows that are new, as one statement. */
function accountOf(rows: readonly MessageRow[]): Statement {
  const queued = rows
    .filter((row) => row.searched)
    .map(({ org, id, ingressAtUs, usedBytes: bytes }) => ({ org, id, ingressAtUs, bytes }));
  return accountStatement(usageOf(rows), queueRows(queued));
}

/** A message as it is read back. */
export interface StoredMessage {
  readonly id: string;
  readonly acceptedAtUs: number;
  readonly ingressAtUs: number;
  readonly envelope: Uint8Array;
  readonly leftOutBytes: number;
}

export const READ = `id, accepted_at_us as "acceptedAtUs", ingress_at_us as "ingressAtUs", envelope,
  left_out_bytes as "leftOutBytes"`;

export async function findMessage(store: Store, org: string, id: string): Promise<StoredMessage | undefined> {
  const sql = `select ${READ} from messages where org = $1 and id = $2`;
  const [row] = await store.ask<StoredMessage>(org, sql, [org, columnText(id)]);
  return row;
}
