/** The routing table of one org in memory: by id, by name, in order, and what has changed since when. */

import type { PlacedAgent } from '../store/agents.ts';
import { AgentIndex } from './agent-index.ts';
import type { Decoded } from './entries.ts';

/** An entry with where it is kept. */
export type ViewEntry = Decoded & {
  readonly id: string;
  revision: number;
  /** All of an agent, as new as the route; undefined: not read (yet). */
  row: PlacedAgent | undefined;
};

export type AgentEntry = ViewEntry & { readonly kind: 'agent' };

export interface Changes {
  /** Later ones than what was asked for, each once. */
  readonly entries: readonly ViewEntry[];
  readonly removed: readonly string[];
  /** All up to here is in this answer. */
  readonly until: number;
}

export class OrgView {
  /** Of the last change. Revisions here are positions of the bucket, which grow also when it is made anew. */
  revision = 0;
  readonly #byId = new Map<string, ViewEntry>();
  readonly #agents = new AgentIndex<AgentEntry>();
  /** Ids in order, as they were at a revision; what was removed since is skipped, what was added is a later change. */
  #sorted: { readonly ids: readonly string[]; readonly revision: number } | undefined;
  #changesSinceSorted = 0;
  /** What was changed by each revision, oldest first. */
  #revisions: number[] = [];
  #changed: string[] = [];
  /** Of changes up to here nothing is remembered. */
  #floor: number;
  readonly #changesMax: number;

  constructor(changesMax: number, floor = 0) {
    this.#changesMax = changesMax;
    this.#floor = floor;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** All that is there has been read. Of changes up to `floor` some may be missing. */
  begin(floor: number): void {
    const from = Math.min(floor, this.revision);
    if (from <= this.#floor) return;
    const kept = this.#firstAfter(from);
    this.#floor = from;
    this.#revisions = this.#revisions.slice(kept);
    this.#changed = this.#changed.slice(kept);
  }

  byId(id: string): ViewEntry | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): ViewEntry | undefined {
    return this.#agents.byName(name);
  }

  /** The agents that have it, in no order. */
  able(capability: string): Iterable<AgentEntry> {
    return this.#agents.able(capability);
  }

  /** In the order of revisions. The entry as it is now; `before`: what it was until then. Undefined: it was known. */
  put(
    id: string,
    decoded: Decoded,
    revision: number,
  ): { entry: ViewEntry; before: ViewEntry | undefined } | undefined {
    const before = this.#byId.get(id);
    if (before?.revision === revision) return undefined;
    if (revision <= this.revision) this.#startOver(revision);
    const entry: ViewEntry = { ...decoded, id, revision, row: undefined };
    if (before?.kind === 'agent') this.#agents.remove(before);
    this.#byId.set(id, entry);
    if (entry.kind === 'agent') this.#agents.add(entry);
    this.#note(revision, id);
    return { entry, before };
  }

  /** What it was until then; undefined: there was nothing. */
  remove(id: string, revision: number): ViewEntry | undefined {
    const before = this.#byId.get(id);
    if (before !== undefined) {
      this.#byId.delete(id);
      if (before.kind === 'agent') this.#agents.remove(before);
      // Nobody knows when it was removed: all that was said until now may be incomplete.
      if (revision <= before.revision) {
        this.#forgetChanges();
        return before;
      }
    }
    if (revision > this.revision) this.#note(revision, id);
    return before;
  }

  /** Undefined: too long ago, or never. */
  changesSince(since: number, limit: number, bytesMax: number): Changes | undefined {
    if (since < this.#floor || since > this.revision) return undefined;
    const entries: ViewEntry[] = [];
    const removed = new Set<string>();
    let until = since;
    let bytes = 0;
    for (let i = this.#firstAfter(since); i < this.#revisions.length; i++) {
      if (entries.length + removed.size >= limit || bytes >= bytesMax)
        return { entries, removed: [...removed], until };
      until = this.#revisions[i]!;
      const id = this.#changed[i]!;
      const entry = this.#byId.get(id);
      if (entry === undefined) removed.add(id);
      else if (entry.revision === until) {
        entries.push(entry);
        bytes += sizeOf(entry);
      }
    }
    return { entries, removed: [...removed], until: Math.max(until, this.revision) };
  }

  /**
   * Entries in the order of their ids, after one. `next`: the id to go on with, undefined at the end. What was there at
   * `revision` and is there still is on one of the pages; what came or changed later is among the changes since then.
   */
  page(
    afterId: string,
    limit: number,
    bytesMax: number,
  ): { readonly entries: ViewEntry[]; readonly next: string | undefined; readonly revision: number } {
    const { ids, revision } = this.#inOrder();
    const entries: ViewEntry[] = [];
    let bytes = 0;
    for (let i = firstAbove(ids, afterId); i < ids.length; i++) {
      if (entries.length >= limit || bytes >= bytesMax)
        return { entries, next: entries.at(-1)!.id, revision };
      const entry = this.#byId.get(ids[i]!);
      if (entry === undefined) continue;
      entries.push(entry);
      bytes += sizeOf(entry);
    }
    return { entries, next: undefined, revision };
  }

  /** Sorted anew only after many changes: one who reads all of it gets the others as changes. */
  #inOrder(): { readonly ids: readonly string[]; readonly revision: number } {
    const small = this.#byId.size <= SORTED_AT_ONCE;
    const stale = this.#changesSinceSorted > (small ? 0 : this.#byId.size / 8);
    if (this.#sorted === undefined || stale || this.#sorted.revision < this.#floor) {
      this.#sorted = { ids: [...this.#byId.keys()].sort(), revision: this.revision };
      this.#changesSinceSorted = 0;
    }
    return this.#sorted;
  }

  #note(revision: number, id: string): void {
    this.revision = Math.max(this.revision, revision);
    this.#changesSinceSorted++;
    this.#revisions.push(revision);
    this.#changed.push(id);
    if (this.#revisions.length <= 2 * this.#changesMax) return;
    const gone = this.#revisions.length - this.#changesMax;
    this.#floor = this.#revisions[gone - 1]!;
    this.#revisions = this.#revisions.slice(gone);
    this.#changed = this.#changed.slice(gone);
  }

  #forgetChanges(): void {
    this.#floor = this.revision + 1;
    this.#revisions = [];
    this.#changed = [];
  }

  /** The bucket was set back, as by a backup. */
  #startOver(revision: number): void {
    this.revision = revision - 1;
    this.#forgetChanges();
    this.#sorted = undefined;
  }

  #firstAfter(since: number): number {
    return firstAbove(this.#revisions, since);
  }
}

/** So few are sorted in a millisecond or two. */
const SORTED_AT_ONCE = 5000;

/** Index of the first one that is greater, in a sorted list. */
function firstAbove<T extends string | number>(sorted: readonly T[], value: T): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** About the bytes that it takes in an answer. */
const sizeOf = (entry: ViewEntry): number =>
  entry.kind === 'channel' ? 128 + entry.route.members.length * 21 : 256;
