/** Words that messages are found by: written from what the queue holds, a row of it at a time, once each. */

import { setImmediate as turn } from 'node:timers/promises';
import { Envelope } from '@fleetwire/gen/message';
import { type CopyColumn, isConflict, type Store } from '@fleetwire/store';
import { isTextType } from '../domain/history-mode.ts';
import { isPoison } from '../domain/poison.ts';
import { encodeWords, searchedText } from '../domain/words.ts';
import { readQueueIds } from './words-queue.ts';

interface WordsRow {
  readonly org: string;
  readonly id: string;
  /** A tsvector in binary. */
  readonly words: Uint8Array;
}

/** COPY's binary format has a length and bytes for any type. */
const COLUMNS: readonly CopyColumn<WordsRow>[] = [
  { name: 'org', type: 'text', value: (row) => row.org },
  { name: 'id', type: 'text', value: (row) => row.id },
  { name: 'words', type: 'bytea', value: (row) => row.words },
];

const NEXT = 'select seq, ids from words_queue order by seq limit 1';

const READ = `
  select k.org, k.id, m.envelope
  from unnest($1::text[], $2::text[]) as k (org, id)
  cross join lateral (select envelope from messages
    where org = k.org and id = k.id and id between $3 and $4 and left_out_bytes < 0 offset 0) m`;

/** Text between two turns of the event loop: ingest waits for no more than that. */
const BYTES_A_TURN = 32 * 1024;

export interface Indexed {
  /** Messages taken off the queue; 0: it is empty. */
  readonly messages: number;
  /** Of these, found by no word: they cannot be read, or PostgreSQL refuses their words. */
  readonly refused: number;
}

/** A row of the queue. */
export interface QueuedWords {
  readonly seq: number;
  readonly ids: string;
}

/** The oldest; undefined: there is none. */
export async function nextWords(store: Pick<Store, 'query'>): Promise<QueuedWords | undefined> {
  const [next] = await store.query<QueuedWords>(NEXT);
  return next;
}

/** As `indexWords`, of the oldest row. */
export async function indexNext(store: Store): Promise<Indexed> {
  const next = await nextWords(store);
  return next === undefined ? { messages: 0, refused: 0 } : indexWords(store, next);
}

/**
 * Takes the row off the queue and writes the words of its messages, in one transaction; two replicas that take the same one
 * do no harm. A message that is gone meanwhile has none.
 */
export async function indexWords(store: Store, next: QueuedWords): Promise<Indexed> {
  const { orgs, ids } = readQueueIds(next.ids);
  const sorted = ids.toSorted();
  const found = await store.query<Found>(READ, [orgs, ids, sorted[0], sorted.at(-1)]);
  const { rows, unreadable } = await wordsRows(found);
  const refused = await save(store, rows, next.seq);
  return { messages: ids.length, refused: refused + unreadable };
}

/** Takes a row off the queue without its words; gives how many messages are found by no word now. */
export async function dropWords(store: Pick<Store, 'query'>, { seq, ids }: QueuedWords): Promise<number> {
  await store.query('delete from words_queue where seq = $1', [seq]);
  return readQueueIds(ids).ids.length;
}

interface Found {
  readonly org: string;
  readonly id: string;
  readonly envelope: Uint8Array;
}

async function wordsRows(
  found: readonly Found[],
): Promise<{ readonly rows: readonly WordsRow[]; readonly unreadable: number }> {
  const rows: WordsRow[] = [];
  let bytes = 0;
  let unreadable = 0;
  for (const { org, id, envelope } of found) {
    const text = textOf(envelope);
    if (text === undefined) unreadable++;
    else if (text !== '') rows.push({ org, id, words: encodeWords(org, text) });
    bytes += text?.length ?? 0;
    if (bytes < BYTES_A_TURN) continue;
    await turn();
    bytes = 0;
  }
  return { rows, unreadable };
}

/** Empty: there is none to be found by; undefined: it cannot be read. */
function textOf(envelope: Uint8Array): string | undefined {
  try {
    const { body, contentType } = Envelope.decode(envelope);
    return (isTextType(contentType) ? searchedText(body) : undefined) ?? '';
  } catch {
    return undefined;
  }
}

/** Gives how many rows were refused for what is in them. */
async function save(store: Store, rows: readonly WordsRow[], seq: number): Promise<number> {
  const done = { sql: 'delete from words_queue where seq = $1', params: [seq] };
  const write = () => store.copy('message_words', COLUMNS, rows, [done]);
  try {
    await write();
    return 0;
  } catch (error) {
    if (!isConflict(error)) {
      if (!isPoison(error)) throw error;
      return saveEach(store, rows, seq);
    }
    if (await forget(store, rows, seq)) await write();
    return 0;
  }
}

/** Takes away words of earlier messages of the same ids. False: another replica has written these meanwhile. */
async function forget(store: Store, rows: readonly WordsRow[], seq: number): Promise<boolean> {
  const [waits] = await store.query(
    `with gone as (delete from message_words w using unnest($1::text[], $2::text[]) as k (org, id)
     where w.org = k.org and w.id = k.id and exists (select from words_queue where seq = $3))
     select 1 as waits from words_queue where seq = $3`,
    [rows.map(({ org }) => org), rows.map(({ id }) => id), seq],
  );
  return waits !== undefined;
}

async function saveEach(store: Store, rows: readonly WordsRow[], seq: number): Promise<number> {
  let refused = 0;
  for (const row of rows)
    await store.copy('message_words', COLUMNS, [row]).catch((error: unknown) => {
      if (isConflict(error)) return;
      if (!isPoison(error)) throw error;
      refused++;
    });
  await store.query('delete from words_queue where seq = $1', [seq]);
  return refused;
}

/** What is written waits in a list that every search reads; this sorts it into the index. For quiet moments. */
export async function tidyWords(store: Store): Promise<void> {
  await store.query(`
    select gin_clean_pending_list(c.oid) from pg_class c join pg_am a on a.oid = c.relam
    where a.amname = 'gin' and c.relkind = 'i' and c.relnamespace = current_schema()::regnamespace`);
}
