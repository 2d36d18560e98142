/** Dead letters as they were published, once each by their place in the stream, and what became of them. */

import { UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import type { LetterState } from '@fleetwire/gen/delivery';
import type { CopyColumn, Store, StoreTransaction } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import type { LetterKey } from '../domain/letter-id.ts';
import { columnArrays, numberArray } from './array-literal.ts';

export interface DeadLetterRow {
  readonly storedAtUs: number;
  readonly sequence: number;
  readonly org: string;
  /** As in its subject. */
  readonly agent: string;
  /** Empty when the envelope could not be decoded. */
  readonly messageId: string;
  readonly reason: string;
  readonly detail: string;
  readonly attempt: number;
  /** The node that has written it; empty: a service. */
  readonly author: string;
  readonly fromAgent: string;
  readonly fromName: string;
  readonly to: string;
  readonly bodyKept: boolean;
  /** The encoded DeadLetter. */
  readonly letter: Uint8Array;
}

const COLUMNS: readonly CopyColumn<DeadLetterRow>[] = [
  { name: 'stored_at_us', type: 'int8', value: (row) => row.storedAtUs },
  { name: 'sequence', type: 'int8', value: (row) => row.sequence },
  { name: 'org', type: 'text', value: (row) => row.org },
  { name: 'agent', type: 'text', value: (row) => row.agent },
  { name: 'message_id', type: 'text', value: (row) => columnText(row.messageId) },
  { name: 'reason', type: 'text', value: (row) => columnText(row.reason) },
  { name: 'detail', type: 'text', value: (row) => columnText(row.detail) },
  { name: 'attempt', type: 'int8', value: (row) => row.attempt },
  { name: 'author', type: 'text', value: (row) => row.author },
  { name: 'from_agent', type: 'text', value: (row) => columnText(row.fromAgent) },
  { name: 'from_name', type: 'text', value: (row) => columnText(row.fromName) },
  { name: 'to_address', type: 'text', value: (row) => columnText(row.to) },
  { name: 'body_kept', type: 'bool', value: (row) => row.bodyKept },
  { name: 'letter', type: 'bytea', value: (row) => row.letter },
];

const INSERT = `
  insert into dead_letters (stored_at_us, sequence, org, agent, message_id, reason, detail, attempt, author, from_agent,
    from_name, to_address, body_kept, letter)
  select r.stored, r.sequence, r.org, r.agent, r.message_id, r.reason, r.detail, r.attempt, r.author, r.from_agent,
    r.from_name, r.to_address, r.body_kept <> 0, substring($14::bytea from r.start for r.size)
  from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
      $9::text[], $10::text[], $11::text[], $12::text[], $13::int[], $15::int[], $16::int[])
    as r (stored, sequence, org, agent, message_id, reason, detail, attempt, author, from_agent, from_name, to_address,
      body_kept, start, size)
  on conflict do nothing`;

export async function saveDeadLetters(tx: StoreTransaction, rows: readonly DeadLetterRow[]): Promise<void> {
  if (rows.length > 0) await tx.query(INSERT, columnArrays(COLUMNS, rows));
}

/** A letter without its bytes. */
export interface LetterHead extends LetterKey {
  readonly messageId: string;
  readonly fromAgent: string;
  readonly fromName: string;
  readonly to: string;
  /** Empty: it led to nobody. */
  readonly recipient: string;
  readonly reason: string;
  readonly detail: string;
  readonly attempt: number;
  readonly author: string;
  readonly bodyKept: boolean;
  readonly state: LetterState;
  readonly decidedBy: string;
  readonly decidedAtUs: number;
  /** Of the request that decided; empty: none has. */
  readonly requestId: string;
}

export interface StoredLetter extends LetterHead {
  readonly letter: Uint8Array;
}

/** Each is left out when empty or 0. */
export interface LetterWhere {
  readonly reason: string;
  readonly recipient: string;
  readonly sender: string;
  readonly messageId: string;
  readonly fromUs: number;
  readonly untilUs: number;
  readonly state: LetterState;
}

const HEAD = `stored_at_us as "storedAtUs", sequence, message_id as "messageId", from_agent as "fromAgent",
  from_name as "fromName", to_address as "to", nullif(agent, '${UNKNOWN_RECIPIENT}') as recipient, reason, detail,
  attempt, author, body_kept as "bodyKept", state, decided_by as "decidedBy", decided_at_us as "decidedAtUs",
  request_id as "requestId"`;

/** Newest first, behind `after`. */
export async function listLetters(
  store: Store,
  org: string,
  where: LetterWhere,
  after: LetterKey | undefined,
  limit: number,
): Promise<LetterHead[]> {
  const { conditions, params, param } = conditionsOf(org, where);
  if (after !== undefined)
    conditions.push(`(stored_at_us, sequence) < (${param(after.storedAtUs)}, ${param(after.sequence)})`);
  const sql = `select ${HEAD} from dead_letters where ${conditions.join(' and ')}
    order by stored_at_us desc, sequence desc limit ${param(limit)}`;
  return (await store.query<Raw<LetterHead>>(sql, params)).map(whole);
}

/** How many there are, counted up to `max`. */
export async function countLetters(
  store: Store,
  org: string,
  where: LetterWhere,
  max: number,
): Promise<number> {
  const { conditions, params, param } = conditionsOf(org, where);
  const some = `select 1 from dead_letters where ${conditions.join(' and ')} limit ${param(max)}`;
  const [row] = await store.query<{ count: number }>(
    `select count(*)::int as count from (${some}) s`,
    params,
  );
  return row?.count ?? 0;
}

/** Which letters, and how many of them: oldest first, behind `after`; beyond the first no more than `bytesMax` of them. */
export interface LetterBatch {
  readonly after: LetterKey | undefined;
  readonly limit: number;
  readonly bytesMax: number;
}

/** Those that the filter means. */
export function letterBatch(
  store: Store,
  org: string,
  where: LetterWhere,
  batch: LetterBatch,
): Promise<StoredLetter[]> {
  return readBatch(store, conditionsOf(org, where), batch);
}

/** Of these letters, those that the org has, in whatever state. */
export function lettersOf(
  store: Store,
  org: string,
  keys: readonly LetterKey[],
  batch: LetterBatch,
): Promise<StoredLetter[]> {
  const built = conditionsOf(org, ANY_LETTER);
  const stored = built.param(numberArray(keys, (key) => key.storedAtUs));
  const sequences = built.param(numberArray(keys, (key) => key.sequence));
  built.conditions.push(
    `(stored_at_us, sequence) in (select * from unnest(${stored}::bigint[], ${sequences}::bigint[]))`,
  );
  return readBatch(store, built, batch);
}

export const ANY_LETTER: LetterWhere = {
  reason: '',
  recipient: '',
  sender: '',
  messageId: '',
  fromUs: 0,
  untilUs: 0,
  state: 0,
};

async function readBatch(
  store: Store,
  { conditions, params, param }: Conditions,
  { after, limit, bytesMax }: LetterBatch,
): Promise<StoredLetter[]> {
  if (after !== undefined)
    conditions.push(`(stored_at_us, sequence) > (${param(after.storedAtUs)}, ${param(after.sequence)})`);
  const order = 'order by stored_at_us, sequence';
  const page = `select * from dead_letters where ${conditions.join(' and ')} ${order} limit ${param(limit)}`;
  const sql = `select ${HEAD}, letter from (
      select *, sum(octet_length(letter)) over (${order}) - octet_length(letter) as before from (${page}) page) s
    where before < ${param(bytesMax)} ${order}`;
  return (await store.query<Raw<StoredLetter>>(sql, params)).map(whole);
}

interface Conditions {
  readonly conditions: string[];
  readonly params: unknown[];
  param(value: unknown): string;
}

function conditionsOf(org: string, where: LetterWhere): Conditions {
  const params: unknown[] = [];
  const param = (value: unknown) => `$${params.push(value)}`;
  const conditions = [`org = ${param(org)}`];
  const { reason, recipient, sender, messageId, fromUs, untilUs, state } = where;
  if (reason !== '') conditions.push(`reason = ${param(columnText(reason))}`);
  if (messageId !== '') conditions.push(`message_id = ${param(columnText(messageId))}`);
  if (fromUs > 0) conditions.push(`stored_at_us >= ${param(fromUs)}`);
  if (untilUs > 0) conditions.push(`stored_at_us < ${param(untilUs)}`);
  if (state !== 0) conditions.push(`state = ${param(state)}`);
  if (recipient !== '') {
    const wanted = param(columnText(recipient));
    conditions.push(`(agent = ${wanted} or to_address = ${wanted})`);
  }
  if (sender !== '') {
    const wanted = param(columnText(sender));
    conditions.push(`(from_agent = ${wanted} or from_name = ${wanted})`);
  }
  return { conditions, params, param };
}

type Raw<T> = Omit<T, 'recipient'> & { readonly recipient: string | null };

function whole<T extends LetterHead>(row: Raw<T>): T {
  return { ...row, recipient: row.recipient ?? '' } as unknown as T;
}
