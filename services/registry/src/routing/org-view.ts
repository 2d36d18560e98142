/** The routing table of one org in memory: by id, by name, by place, and what has changed since when. */

import { foldName } from '@fleetwire/kernel';
import type { PlacedAgent } from '../store/agents.ts';
import type { Decoded } from './entries.ts';

/** An entry with where it is kept. */
export type ViewEntry = Decoded & {
  readonly id: string;
  revision: number;
  /** Stays the same while the entry is there, so that a reader can go on where it was. */
  readonly slot: number;
  /** All of an agent, as new as the route; undefined: not read (yet). */
  row: PlacedAgent | undefined;
};

export interface Changes {
  /** Later ones than what was asked for, each once. */
  readonly entries: readonly ViewEntry[];
  readonly removed: readonly string[];
  /** All up to here is in this answer. */
  readonly until: number;
}

export class OrgView {
  /** Of the last change. */
  revision = 0;
  readonly #byId = new Map<string, ViewEntry>();
  readonly #byName = new Map<string, ViewEntry>();
  readonly #slots: (ViewEntry | undefined)[] = [];
  readonly #free: number[] = [];
  /** What was changed by each revision, oldest first. */
  #revisions: number[] = [];
  #changed: string[] = [];
  /** Of changes up to here nothing is remembered. */
  #floor = 0;
  readonly #changesMax: number;

  constructor(changesMax: number) {
    this.#changesMax = changesMax;
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
    return this.#byName.get(foldName(name));
  }

  entries(): Iterable<ViewEntry> {
    return this.#byId.values();
  }

  /** The entry as it is now; `before`: what it was until then. Undefined: it was known, or is older than what is. */
  put(
    id: string,
    decoded: Decoded,
    revision: number,
  ): { entry: ViewEntry; before: ViewEntry | undefined } | undefined {
    const before = this.#byId.get(id);
    if (before !== undefined && before.revision >= revision) return undefined;
    const slot = before?.slot ?? this.#free.pop() ?? this.#slots.length;
    const entry: ViewEntry = { ...decoded, id, revision, slot, row: undefined };
    if (before !== undefined) this.#unname(before);
    this.#byId.set(id, entry);
    this.#slots[slot] = entry;
    if (entry.kind === 'agent') this.#byName.set(foldName(entry.route.name), entry);
    this.#note(revision, id);
    return { entry, before };
  }

  /** What it was until then; undefined: there was nothing. */
  remove(id: string, revision: number): ViewEntry | undefined {
    const before = this.#byId.get(id);
    if (before !== undefined) {
      this.#byId.delete(id);
      this.#unname(before);
      this.#slots[before.slot] = undefined;
      this.#free.push(before.slot);
      // Nobody knows when it was removed: all that was said until now may be incomplete.
      if (revision <= before.revision) this.#forgetChanges();
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

  /** Entries in the order of their slots, from one on; `next`: the slot to go on with, undefined at the end. */
  page(
    from: number,
    limit: number,
    bytesMax: number,
  ): { readonly entries: ViewEntry[]; readonly next: number | undefined } {
    const entries: ViewEntry[] = [];
    let bytes = 0;
    for (let slot = from; slot < this.#slots.length; slot++) {
      if (entries.length >= limit || bytes >= bytesMax) return { entries, next: slot };
      const entry = this.#slots[slot];
      if (entry === undefined) continue;
      entries.push(entry);
      bytes += sizeOf(entry);
    }
    return { entries, next: undefined };
  }

  #unname(entry: ViewEntry): void {
    if (entry.kind !== 'agent') return;
    const folded = foldName(entry.route.name);
    // Another agent may have taken the name since.
    if (this.#byName.get(folded)?.id === entry.id) this.#byName.delete(folded);
  }

  #note(revision: number, id: string): void {
    this.revision = Math.max(this.revision, revision);
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

  #firstAfter(since: number): number {
    let low = 0;
    let high = this.#revisions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#revisions[middle]! <= since) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** About the bytes that it takes in an answer. */
const sizeOf = (entry: ViewEntry): number =>
  entry.kind === 'channel' ? 128 + entry.route.members.length * 21 : 256;
