/** History: writes accepted messages in bulk, reads one or a page of them, always within one org. */

import type { CopyColumn, Store } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import type { PagePosition } from '../domain/page-token.ts';
import { columnArrays } from './array-literal.ts';
import { PlainFirst } from './plain-first.ts';

export interface MessageRow {
  readonly org: string;
  readonly id: string;
  readonly acceptedAtUs: number;
  readonly ingressAtUs: number;
  readonly fromAgent: string;
  readonly to: string;
  readonly correlationId: string;
  /** The encoded Envelope, byte for byte. */
  readonly envelope: Uint8Array;
}

/** In the order of CAREFUL's parameters. */
const COLUMNS: readonly CopyColumn<MessageRow>[] = [
  { name: 'org', type: 'text', value: (row) => row.org },
  { name: 'id', type: 'text', value: (row) => row.id },
  { name: 'accepted_at_us', type: 'int8', value: (row) => row.acceptedAtUs },
  { name: 'ingress_at_us', type: 'int8', value: (row) => row.ingressAtUs },
  { name: 'from_agent', type: 'text', value: (row) => columnText(row.fromAgent) },
  { name: 'to_address', type: 'text', value: (row) => columnText(row.to) },
  { name: 'correlation_id', type: 'text', value: (row) => columnText(row.correlationId) },
  { name: 'envelope', type: 'bytea', value: (row) => row.envelope },
];

const CAREFUL = `
  insert into messages
    (org, id, accepted_at_us, ingress_at_us, from_agent, to_address, correlation_id, envelope)
  select r.org, r.id, r.accepted, r.ingress, r.sender, r.target, r.correlation,
    substring($8::bytea from r.start for r.size)
  from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $9::int[], $10::int[]) as r (org, id, accepted, ingress, sender, target, correlation, start, size)
  on conflict do nothing`;

/** All or nothing; a message that is there already stays as it is. */
export async function saveMessages(
  store: Store,
  rows: readonly MessageRow[],
  first = new PlainFirst(),
): Promise<void> {
  const careful = async () => void (await store.query(CAREFUL, columnArrays(COLUMNS, rows)));
  await first.run(() => store.copy('messages', COLUMNS, rows), careful);
}

/** A message as it is read back. */
export interface StoredMessage {
  readonly id: string;
  readonly acceptedAtUs: number;
  readonly ingressAtUs: number;
  readonly envelope: Uint8Array;
}

const READ = `id, accepted_at_us as "acceptedAtUs", ingress_at_us as "ingressAtUs", envelope`;

export async function findMessage(store: Store, org: string, id: string): Promise<StoredMessage | undefined> {
  const sql = `select ${READ} from messages where org = $1 and id = $2`;
  const [row] = await store.query<StoredMessage>(sql, [org, columnText(id)]);
  return row;
}

export interface MessageFilter {
  /** Each is left out when empty. */
  readonly correlationId: string;
  readonly fromAgent: string;
  readonly recipient: string;
  /** Only what comes behind it. */
  readonly after: PagePosition | undefined;
}

export interface MessagePage {
  readonly rows: readonly StoredMessage[];
  /** There are more behind the last row. */
  readonly more: boolean;
}

/** Newest first: at most `limit` messages, and no more than `bytesMax` of envelopes unless the first alone has more. */
export async function listMessages(
  store: Store,
  org: string,
  filter: MessageFilter,
  limit: number,
  bytesMax: number,
): Promise<MessagePage> {
  const params: unknown[] = [org];
  const where = ['m.org = $1'];
  const param = (value: unknown) => `$${params.push(value)}`;
  if (filter.correlationId !== '') {
    const correlation = param(columnText(filter.correlationId));
    // The message that began it by the primary key, the others by the partial index.
    where.push(`(m.id = ${correlation} and m.correlation_id = m.id
      or m.correlation_id = ${correlation} and m.correlation_id <> m.id)`);
  }
  if (filter.fromAgent !== '') where.push(`m.from_agent = ${param(columnText(filter.fromAgent))}`);
  if (filter.recipient !== '')
    where.push(`exists (select from settlements s where s.org = m.org and s.message_id = m.id
      and s.recipient = ${param(columnText(filter.recipient))})`);
  if (filter.after !== undefined)
    where.push(`(m.accepted_at_us, m.id) < (${param(filter.after.acceptedAtUs)}, ${param(filter.after.id)})`);
  const order = 'order by accepted_at_us desc, id desc';
  const page = `select m.* from messages m where ${where.join(' and ')} ${order} limit ${param(limit + 1)}`;
  const summed = `select *, sum(octet_length(envelope)) over (${order}) - octet_length(envelope) as before
    from (${page}) page`;
  const sql = `select ${READ}, (select count(*)::int from (${page}) all_of_page) as "found"
    from (${summed}) s where before < ${param(bytesMax)} ${order} limit ${param(limit)}`;
  const rows = await store.query<StoredMessage & { found: number }>(sql, params);
  return { rows, more: (rows[0]?.found ?? 0) > rows.length };
}
