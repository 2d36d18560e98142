/**
 * Lists of history, newest first. One index leads: it gives ids in order, a bounded number at a time; the messages of these
 * are read by their key, and what other filters are left is asked of them there. So no statement depends on a planner's
 * guess, and none is long.
 */

import type { Stage } from '@fleetwire/gen/message';
import { messageIdTime } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { columnText } from '../domain/column-text.ts';
import { ABOVE_ALL, type IdWindow, IdWindows } from '../domain/id-windows.ts';
import { READ, type StoredMessage } from './message-table.ts';
import { WordSearch } from './word-search.ts';

/** Each is left out when empty, or 0. */
export interface MessageFilter {
  readonly correlationId: string;
  readonly fromAgent: string;
  readonly recipient: string;
  readonly to: string;
  readonly stage: Stage | 0;
  /** Ids from this one on, and below that one. */
  readonly from: string;
  readonly below: string;
  /** As `wordQuery` gives it. */
  readonly words: string;
}

export interface PageBounds {
  readonly rows: number;
  /** Of envelopes, unless the first alone has more. */
  readonly bytes: number;
  /** Ids that one call may look at. */
  readonly walked: number;
}

export interface MessagePage {
  readonly rows: readonly StoredMessage[];
  /** The next page has what is below this id; undefined: there is no more. */
  readonly next: string | undefined;
  /** With words: when the broker accepted the first message that could not be found yet; undefined: there was none. */
  readonly queuedFromUs: number | undefined;
}

/** The next ids of a window in order. */
export interface LeadIds {
  readonly ids: readonly string[];
  /** All that is above or equal has been seen; undefined: the window is done. */
  readonly next: string | undefined;
  readonly walked: number;
}

export type Lead = (window: IdWindow, limit: number) => Promise<LeadIds>;

/** First number of ids when filters are left that may keep most of them out, and the greatest. */
const FILTERED_FIRST = 256;
const FILTERED_MAX = 4096;
/** A window with less than one in so many of the ids that are wanted is followed by all that is left. */
const SPARSE = 8;

/**
 * A page, or less of one when `walked` ids have been looked at. `starts`: where partitions begin; it only makes the reading
 * quick, so it may be some time old.
 */
export async function listMessages(
  store: Store,
  org: string,
  filter: MessageFilter,
  starts: readonly string[],
  nowMs: number,
  bounds: PageBounds,
): Promise<MessagePage> {
  const { lead, left, search } = leadOf(store, org, filter);
  const range = { from: filter.from, below: filter.below === '' ? ABOVE_ALL : filter.below };
  const walk = new LeadWalk(lead, new IdWindows(starts, messageIdTime(nowMs + 1), range), bounds.walked);
  const rows: StoredMessage[] = [];
  const page = (next: string | undefined) => ({ rows, next, queuedFromUs: search?.queuedFromUs });
  let bytes = bounds.bytes;
  let size = FILTERED_FIRST;
  for (;;) {
    const wanted = bounds.rows + 1 - rows.length;
    const ids = await walk.take(left ? Math.max(size, wanted) : wanted);
    const read = await readPage(store, org, ids, left ? filter : ALL, wanted, bytes);
    for (const row of read.rows) {
      if (rows.length === bounds.rows) return page(rows.at(-1)!.id);
      rows.push(row);
      bytes -= row.envelope.length;
    }
    if (read.cut) return page(rows.at(-1)!.id);
    if (walk.ended || bytes <= 0) return page(walk.below);
    size = Math.min(FILTERED_MAX, size * 2);
  }
}

/** The ids of a lead, window after window, as far as may be walked. */
class LeadWalk {
  readonly #lead: Lead;
  readonly #windows: IdWindows;
  readonly #walkedMax: number;
  #from = '';
  #walked = 0;
  /** All from this one on has been seen; undefined: all. */
  below: string | undefined;

  constructor(lead: Lead, windows: IdWindows, walkedMax: number) {
    this.#lead = lead;
    this.#windows = windows;
    this.#walkedMax = walkedMax;
    this.#nextWindow(false);
  }

  /** There is no more, or no more may be walked. */
  get ended(): boolean {
    return this.below === undefined || this.#walked >= this.#walkedMax;
  }

  /** So many of the next ids in order, or some more; fewer at the end. */
  async take(count: number): Promise<readonly string[]> {
    const ids: string[] = [];
    while (ids.length < count && !this.ended) {
      const window = { from: this.#from, below: this.below! };
      const found = await this.#lead(window, count - ids.length);
      ids.push(...found.ids);
      this.#walked += found.walked;
      this.below = found.next;
      if (found.next === undefined) this.#nextWindow(ids.length * SPARSE < count);
    }
    return ids;
  }

  #nextWindow(sparse: boolean): void {
    const next = this.#windows.next(sparse);
    if (next !== undefined) ({ from: this.#from, below: this.below } = next);
  }
}

interface Leading {
  readonly lead: Lead;
  /** There are filters that the lead does not know of. */
  readonly left: boolean;
  readonly search?: WordSearch;
}

function leadOf(store: Store, org: string, filter: MessageFilter): Leading {
  const { words, correlationId, stage, recipient, fromAgent, to } = filter;
  const given = [words, correlationId, stage, recipient, fromAgent, to].filter((f) => f !== '' && f !== 0);
  const others = given.length > 1;
  const index = (sql: string, ...keys: unknown[]): Lead => indexLead(store, org, sql, keys);
  if (words !== '') {
    const search = new WordSearch(store, org, words);
    return { lead: (window, limit) => search.next(window, limit), left: others, search };
  }
  if (correlationId !== '') return { lead: index(THREAD, columnText(correlationId)), left: others };
  if (stage > LAST_GOOD_STAGE) return { lead: index(FAULTS, stage), left: others };
  if (recipient !== '') return { lead: index(TO_RECIPIENT, columnText(recipient)), left: others };
  if (fromAgent !== '') return { lead: index(FROM_AGENT, columnText(fromAgent)), left: others };
  return { lead: index(EVERY), left: given.length > 0 };
}

/** Beyond CONFIRMED are the ends that are none of the good ones: the index of faults has these. */
const LAST_GOOD_STAGE = 5;

/** $1 is the org, then the key, then the window and how many. */
type LeadSql = string;

const EVERY: LeadSql = `select id from messages
  where org = $1 and id >= $2 and id < $3 order by id desc limit $4`;
const FROM_AGENT: LeadSql = `select id from messages
  where org = $1 and from_agent = $2 and id >= $3 and id < $4 order by id desc limit $5`;
const TO_RECIPIENT: LeadSql = `select message_id as id from settlements
  where org = $1 and recipient = $2 and message_id >= $3 and message_id < $4 order by message_id desc limit $5`;
const FAULTS: LeadSql = `select message_id as id from settlements
  where org = $1 and stage = $2 and stage > 5 and message_id >= $3 and message_id < $4 order by message_id desc limit $5`;
/** The message that began it is found by the primary key, the others by the partial index. */
const THREAD: LeadSql = `select id from (
    (select id from messages where org = $1 and correlation_id = $2 and correlation_id <> id
      and id >= $3 and id < $4 order by id desc limit $5)
    union all
    select id from messages where org = $1 and id = $2 and correlation_id = $2 and id >= $3 and id < $4) thread
  order by id desc limit $5`;

function indexLead(store: Store, org: string, sql: LeadSql, keys: readonly unknown[]): Lead {
  return async ({ from, below }, limit) => {
    const rows = await store.ask<{ id: string }>(org, sql, [org, ...keys, from, below, limit]);
    const ids = [...new Set(rows.map(({ id }) => id))];
    return { ids, next: rows.length < limit ? undefined : ids.at(-1), walked: rows.length };
  };
}

const ALL = { correlationId: '', fromAgent: '', recipient: '', to: '', stage: 0 } as const;

/** `cut`: there were more, left out for their number or their bytes. */
async function readPage(
  store: Store,
  org: string,
  ids: readonly string[],
  filter: Pick<MessageFilter, keyof typeof ALL>,
  limit: number,
  bytesMax: number,
): Promise<{ readonly rows: readonly StoredMessage[]; readonly cut: boolean }> {
  if (ids.length === 0) return { rows: [], cut: false };
  // The bounds let the planner leave out the other partitions; each is looked up by its key, whatever it thinks of that.
  const params: unknown[] = [org, ids, ids.at(-1), ids[0]];
  const where: string[] = [];
  const param = (value: unknown) => `$${params.push(value)}`;
  if (filter.correlationId !== '')
    where.push(`m.correlation_id = ${param(columnText(filter.correlationId))}`);
  if (filter.fromAgent !== '') where.push(`m.from_agent = ${param(columnText(filter.fromAgent))}`);
  if (filter.to !== '') where.push(`m.to_address = ${param(columnText(filter.to))}`);
  const settled: string[] = [];
  if (filter.recipient !== '') settled.push(`s.recipient = ${param(columnText(filter.recipient))}`);
  if (filter.stage !== 0) settled.push(`s.stage = ${param(filter.stage)}`);
  if (settled.length > 0)
    where.push(`exists (select from settlements s where s.org = m.org and s.message_id = m.id
      and s.message_id >= $3 and s.message_id <= $4 and ${settled.join(' and ')})`);
  const sql = `
    select ${READ}, found from (
      select m.*, count(*) over ()::int as found,
        sum(octet_length(envelope)) over (order by id desc) - octet_length(envelope) as before
      from unnest($2::text[]) as k (wanted)
      cross join lateral (
        select * from messages where org = $1 and id = k.wanted and id between $3 and $4 offset 0) m
      ${where.length === 0 ? '' : `where ${where.join(' and ')}`} order by id desc limit ${param(limit)}) page
    where before < ${param(bytesMax)} order by id desc`;
  const rows = await store.ask<StoredMessage & { found: number }>(org, sql, params);
  return { rows, cut: rows.length < (rows[0]?.found ?? 0) };
}
