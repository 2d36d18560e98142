/** What people decided about dead letters: replays, recorded before they are made, and the requests that they came with. */

import type { LetterState } from '@fleetwire/gen/delivery';
import type { Store, StoreTransaction } from '@fleetwire/store';
import type { LetterKey } from '../domain/letter-id.ts';
import { numberArray, textArray } from './array-literal.ts';

/** One attempt at one message for one recipient: there is never a second one of the same number. */
export interface ReplayRow extends LetterKey {
  readonly org: string;
  readonly messageId: string;
  readonly recipient: string;
  readonly attempt: number;
  readonly requestId: string;
  readonly decidedBy: string;
  readonly decidedAtUs: number;
}

export type LetterAction = 'replay' | 'drop';

export interface LetterRequest {
  readonly org: string;
  readonly requestId: string;
  readonly action: LetterAction;
  readonly decidedBy: string;
  /** Its ids or its filter, for people and to know it again. */
  readonly selection: string;
  /** Letters that came later are none of its. */
  readonly begunAtUs: number;
  /** Letters that it has changed, and how many of them the audit has been told of. */
  readonly done: number;
  readonly told: number;
  /** When `done` was last changed. */
  readonly doneAtUs: number;
}

const REQUEST = `org, request_id as "requestId", action, decided_by as "decidedBy", selection,
  begun_at_us as "begunAtUs", done, told, done_at_us as "doneAtUs"`;

/** The request as it was first made. */
export async function beginRequest(store: Store, request: LetterRequest): Promise<LetterRequest> {
  const { org, requestId, action, decidedBy, selection, begunAtUs } = request;
  await store.query(
    `insert into letter_requests (org, request_id, action, decided_by, selection, begun_at_us)
     values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
    [org, requestId, action, decidedBy, selection, begunAtUs],
  );
  return (await findRequest(store, org, requestId))!;
}

export async function findRequest(
  store: Store,
  org: string,
  requestId: string,
): Promise<LetterRequest | undefined> {
  const sql = `select ${REQUEST} from letter_requests where org = $1 and request_id = $2`;
  return (await store.query<LetterRequest>(sql, [org, requestId]))[0];
}

/** Of all orgs, what was done before `beforeUs` and not told. */
export function untoldRequests(store: Store, beforeUs: number, limit: number): Promise<LetterRequest[]> {
  const sql = `select ${REQUEST} from letter_requests where told < done and done_at_us < $1
    order by done_at_us limit $2`;
  return store.query<LetterRequest>(sql, [beforeUs, limit]);
}

export async function requestTold(store: Store, { org, requestId, done }: LetterRequest): Promise<void> {
  await store.query(
    `update letter_requests set told = greatest(told, $3) where org = $1 and request_id = $2`,
    [org, requestId, done],
  );
}

/**
 * Records the replays that nobody has made yet, of open letters or of replayed ones whose replay came back, and that their
 * letters are replayed; gives which these are. Others do not
 * see any of it until the transaction is committed.
 */
export async function recordReplays(
  tx: StoreTransaction,
  rows: readonly ReplayRow[],
  state: LetterState,
): Promise<ReplayRow[]> {
  if (rows.length === 0) return [];
  const [{ org, requestId, decidedBy, decidedAtUs }] = rows as [ReplayRow];
  const inserted = await tx.query<{ position: number }>(
    `with wanted as (
       select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) with ordinality
         as w (message_id, recipient, attempt, stored, sequence, position)),
     open as (
       select w.* from wanted w join dead_letters d on d.stored_at_us = w.stored and d.sequence = w.sequence
       where d.state = 1 or d.state = 2 and w.attempt > d.attempt + 1
       order by d.stored_at_us, d.sequence for update of d),
     made as (
       insert into replays (org, message_id, recipient, attempt, stored_at_us, sequence, request_id, decided_by,
         decided_at_us, published)
       select $6, message_id, recipient, attempt, stored, sequence, $7, $8, $9, false from open
       on conflict do nothing returning stored_at_us, sequence)
     select o.position::int from open o join made m on m.stored_at_us = o.stored and m.sequence = o.sequence`,
    [
      textArray(rows, (row) => row.messageId),
      textArray(rows, (row) => row.recipient),
      numberArray(rows, (row) => row.attempt),
      numberArray(rows, (row) => row.storedAtUs),
      numberArray(rows, (row) => row.sequence),
      org,
      requestId,
      decidedBy,
      decidedAtUs,
    ],
  );
  const made = inserted.map(({ position }) => rows[position - 1]!);
  await decideLetters(tx, org, made, { state, decidedBy, decidedAtUs, requestId }, true);
  return made;
}

export interface LetterDecision {
  readonly state: LetterState;
  readonly decidedBy: string;
  readonly decidedAtUs: number;
  readonly requestId: string;
}

/** Only open letters change, or, `again`, also replayed ones; counts them for the audit, and gives which they are. */
export async function decideLetters(
  tx: StoreTransaction,
  org: string,
  keys: readonly LetterKey[],
  { state, decidedBy, decidedAtUs, requestId }: LetterDecision,
  again = false,
): Promise<LetterKey[]> {
  if (keys.length === 0) return [];
  const decided = await tx.query<LetterKey>(
    `update dead_letters d set state = $4, decided_by = $5, decided_at_us = $6, request_id = $7
     from (select stored_at_us, sequence from dead_letters
       where org = $1 and (state = 1 or $8 and state = 2)
         and (stored_at_us, sequence) in (select * from unnest($2::bigint[], $3::bigint[]))
       order by stored_at_us, sequence for update) open
     where d.stored_at_us = open.stored_at_us and d.sequence = open.sequence
     returning d.stored_at_us as "storedAtUs", d.sequence`,
    [
      org,
      numberArray(keys, (key) => key.storedAtUs),
      numberArray(keys, (key) => key.sequence),
      state,
      decidedBy,
      decidedAtUs,
      requestId,
      again,
    ],
  );
  await tx.query(
    `update letter_requests set done = done + $3, done_at_us = $4 where org = $1 and request_id = $2`,
    [org, requestId, decided.length, decidedAtUs],
  );
  return decided;
}

/** A replay that may not have been published yet, with its letter. */
export interface OpenReplay extends ReplayRow {
  readonly letter: Uint8Array;
}

/** Of one request, or of all that were decided before a time; the oldest letters first. */
export async function unpublishedReplays(
  store: Store,
  of: { readonly org: string; readonly requestId: string } | { readonly beforeUs: number },
  limit: number,
): Promise<OpenReplay[]> {
  const [condition, params] =
    'beforeUs' in of
      ? ['r.decided_at_us < $1', [of.beforeUs, limit]]
      : ['r.org = $1 and r.request_id = $3', [of.org, limit, of.requestId]];
  return await store.query<OpenReplay>(
    `select r.org, r.message_id as "messageId", r.recipient, r.attempt, r.stored_at_us as "storedAtUs", r.sequence,
       r.request_id as "requestId", r.decided_by as "decidedBy", r.decided_at_us as "decidedAtUs", d.letter
     from replays r join dead_letters d on d.stored_at_us = r.stored_at_us and d.sequence = r.sequence
     where not r.published and ${condition} order by r.stored_at_us, r.sequence limit $2`,
    params,
  );
}

export async function replayPublished(store: Store, row: ReplayRow): Promise<void> {
  const { org, messageId, recipient, attempt } = row;
  await store.query(
    `update replays set published = true where org = $1 and message_id = $2 and recipient = $3 and attempt = $4`,
    [org, messageId, recipient, attempt],
  );
}

/** All replays of one message, by attempt; at most `limit`. */
export function replaysOf(store: Store, org: string, messageId: string, limit: number): Promise<ReplayRow[]> {
  return store.query<ReplayRow>(
    `select org, message_id as "messageId", recipient, attempt, stored_at_us as "storedAtUs", sequence,
       request_id as "requestId", decided_by as "decidedBy", decided_at_us as "decidedAtUs"
     from replays where org = $1 and message_id = $2 order by attempt, recipient limit $3`,
    [org, messageId, limit],
  );
}

/** Which of these letters a request has replayed, and as which attempt. */
export async function replayedBy(
  store: Store,
  requestId: string,
  keys: readonly LetterKey[],
): Promise<(LetterKey & { readonly attempt: number })[]> {
  return await store.query(
    `select stored_at_us as "storedAtUs", sequence, attempt from replays
     where request_id = $1 and (stored_at_us, sequence) in (select * from unnest($2::bigint[], $3::bigint[]))`,
    [requestId, numberArray(keys, (key) => key.storedAtUs), numberArray(keys, (key) => key.sequence)],
  );
}

/** Which of these letters a request has changed. */
export async function decidedBy(
  store: Store,
  requestId: string,
  keys: readonly LetterKey[],
): Promise<LetterKey[]> {
  return await store.query<LetterKey>(
    `select stored_at_us as "storedAtUs", sequence from dead_letters
     where request_id = $1 and (stored_at_us, sequence) in (select * from unnest($2::bigint[], $3::bigint[]))`,
    [requestId, numberArray(keys, (key) => key.storedAtUs), numberArray(keys, (key) => key.sequence)],
  );
}
