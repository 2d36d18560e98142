/** Table `directory`: what the hub last said of the org's agents, nodes and channels. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { foldName } from '@fleetwire/kernel';

export interface DirectoryEntry {
  readonly id: string;
  readonly name: string;
  /** One encoded Route, NodeRoute or ChannelRoute, by the type of its id. */
  readonly entry: Uint8Array;
}

export class DirectoryTable {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #find: StatementSync;
  readonly #entry: StatementSync;
  readonly #channels: StatementSync;
  readonly #agents: StatementSync;
  #count: number;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#put = db.prepare('INSERT OR REPLACE INTO directory VALUES (?, ?, ?, ?)');
    this.#remove = db.prepare('DELETE FROM directory WHERE id = ?');
    this.#find = db.prepare('SELECT 1 FROM directory WHERE id = ?');
    this.#entry = db.prepare('SELECT entry FROM directory WHERE id = ?');
    this.#channels = db.prepare(`SELECT entry FROM directory WHERE id >= 'c_' AND id < 'd' AND name = ?`);
    this.#agents = db.prepare(`SELECT entry FROM directory WHERE name = ? AND id >= 'a_' AND id < 'b'`);
    this.#count = this.#counted();
  }

  get size(): number {
    return this.#count;
  }

  has(id: string): boolean {
    return this.#find.get(id) !== undefined;
  }

  entry(id: string): Uint8Array | undefined {
    return (this.#entry.get(id) as { entry: Uint8Array } | undefined)?.entry;
  }

  /** Encoded ChannelRoutes of channels and groups of this name. */
  channelsNamed(name: string): Uint8Array[] {
    return (this.#channels.all(foldName(name)) as { entry: Uint8Array }[]).map(({ entry }) => entry);
  }

  /** Encoded Routes of agents of this name: one at most where the hub has told all. */
  agentsNamed(name: string): Uint8Array[] {
    return (this.#agents.all(foldName(name)) as { entry: Uint8Array }[]).map(({ entry }) => entry);
  }

  /** `generation`: of the full answer that it came with, or that is being followed. */
  put({ id, name, entry }: DirectoryEntry, generation: number): void {
    if (!this.has(id)) this.#count++;
    this.#put.run(id, foldName(name), generation, entry);
  }

  remove(id: string): void {
    this.#count -= Number(this.#remove.run(id).changes);
  }

  /** What a full answer did not name any more. */
  removeBefore(generation: number): void {
    this.#db.prepare('DELETE FROM directory WHERE generation <> ?').run(generation);
    this.#count = this.#counted();
  }

  /** In the order of ids, beyond `after`. */
  *beyond(after: string): Generator<DirectoryEntry> {
    const rows = this.#db
      .prepare('SELECT id, name, entry FROM directory WHERE id > ? ORDER BY id')
      .iterate(after);
    for (const row of rows) yield row as unknown as DirectoryEntry;
  }

  /** Folded names of agents, at most `limit`. */
  agentNames(limit: number): string[] {
    const sql = `SELECT name FROM directory WHERE id >= 'a_' AND id < 'b' LIMIT ?`;
    return (this.#db.prepare(sql).all(limit) as { name: string }[]).map((row) => row.name);
  }

  #counted(): number {
    return (this.#db.prepare('SELECT count(*) AS n FROM directory').get() as { n: number }).n;
  }
}
