/**
 * Finds messages by words, newest first. Two ways lead there: reading the newest and keeping those that match, which is quick
 * where many do; and the index of words, which is quick where few do. How many of the first few hundred match decides.
 */

import type { Store } from '@fleetwire/store';
import type { IdWindow } from '../domain/id-windows.ts';
import type { LeadIds } from './message-list.ts';

/** Rows read before it is known how many match. */
const FIRST_ROWS = 256;
/** Rows that are read at most in one statement. */
const ROWS_MAX = 4096;
/** Rather than this many rows the index is read. */
const WALK_MAX = 8192;

const WALK = `
  with walked as materialized (
    select id, words @@ $2::tsquery as hit from message_words
    where org = $1 and id >= $3 and id < $4 order by id desc limit $5)
  select array_agg(id order by id desc) filter (where hit) as ids, min(id) as last, count(*)::int as rows,
    (select min(from_us) from words_queue) as queued
  from walked`;

/** The org is a word too (`orgWord`): what others wrote is not even read. Nothing but the index of words can lead here. */
const BY_INDEX = `
  with hits as materialized (
    select org, id from message_words where words @@ $2::tsquery and id >= $3 and id < $4)
  select id from hits where org = $1 order by id desc limit $5`;

interface Walked {
  readonly ids: string[] | null;
  readonly last: string | null;
  readonly rows: number;
  readonly queued: number | null;
}

export class WordSearch {
  readonly #store: Store;
  readonly #org: string;
  readonly #words: string;
  #rows = 0;
  #hits = 0;
  /** When the broker accepted the first message that was not searchable; undefined: all were. */
  queuedFromUs: number | undefined;

  /** `words`: a tsquery that has the org's own word in it. */
  constructor(store: Store, org: string, words: string) {
    this.#store = store;
    this.#org = org;
    this.#words = words;
  }

  async next(window: IdWindow, limit: number): Promise<LeadIds> {
    const rows = this.#rowsFor(limit);
    return rows > WALK_MAX ? this.#byIndex(window, limit) : this.#walk(window, Math.min(rows, ROWS_MAX));
  }

  /** Rows to be read for so many hits, by what has been seen. */
  #rowsFor(limit: number): number {
    if (this.#rows < FIRST_ROWS) return FIRST_ROWS;
    return Math.ceil((limit * this.#rows) / Math.max(this.#hits, 0.1)) + FIRST_ROWS;
  }

  async #walk({ from, below }: IdWindow, rows: number): Promise<LeadIds> {
    const params = [this.#org, this.#words, from, below, rows];
    const [walked] = await this.#store.ask<Walked>(this.#org, WALK, params);
    this.queuedFromUs ??= walked!.queued ?? undefined;
    const ids = walked!.ids ?? [];
    this.#rows += walked!.rows;
    this.#hits += ids.length;
    return { ids, next: walked!.rows < rows ? undefined : walked!.last!, walked: walked!.rows };
  }

  async #byIndex({ from, below }: IdWindow, limit: number): Promise<LeadIds> {
    const params = [this.#org, this.#words, from, below, limit];
    const found = await this.#store.ask<{ id: string }>(this.#org, BY_INDEX, params);
    const ids = found.map(({ id }) => id);
    return { ids, next: ids.length < limit ? undefined : ids.at(-1), walked: ids.length };
  }
}
