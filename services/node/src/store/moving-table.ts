/** Tables `moving` (agents on their way, here or away) and `held_back` (mail that waits for what comes with one). */

import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Where an agent stands between two nodes; all that matters of it survives a restart. */
export interface MovingState {
  /** The move whose mail is still on its way to here, or any number below it; nothing is delivered until then. 0: none. */
  arriving: number;
  /** The last move that brought it here entirely; 0: none. */
  arrivedEpoch: number;
  /** The move by which it leaves this node; 0: it lives here. */
  leavingEpoch: number;
  /** Nothing more is sent to here for it. */
  marked: boolean;
  /** When all that was here had been handed over, microseconds, broker time; 0: not yet. */
  leftAtUs: number;
}

export const AT_HOME: Readonly<MovingState> = {
  arriving: 0,
  arrivedEpoch: 0,
  leavingEpoch: 0,
  marked: false,
  leftAtUs: 0,
};

export interface HeldBackRow {
  readonly seq: number;
  readonly history: boolean;
  /** One encoded InboxEntry. */
  readonly entry: Uint8Array;
}

export class MovingTable {
  readonly #save: StatementSync;
  readonly #delete: StatementSync;
  readonly #load: StatementSync;
  readonly #insert: StatementSync;
  readonly #next: StatementSync;
  readonly #remove: StatementSync;
  readonly #held: StatementSync;

  constructor(db: DatabaseSync) {
    this.#save = db.prepare('INSERT OR REPLACE INTO moving VALUES (?, ?, ?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM moving WHERE agent = ?');
    this.#load = db.prepare('SELECT * FROM moving');
    this.#insert = db.prepare('INSERT INTO held_back (agent, history, entry) VALUES (?, ?, ?)');
    this.#next = db.prepare('SELECT seq, history, entry FROM held_back WHERE agent = ? ORDER BY seq LIMIT 1');
    this.#remove = db.prepare('DELETE FROM held_back WHERE seq = ?');
    this.#held = db.prepare(
      'SELECT agent, count(*) AS count, sum(length(entry)) AS bytes FROM held_back GROUP BY agent',
    );
  }

  save(agent: number, { arriving, arrivedEpoch, leavingEpoch, marked, leftAtUs }: MovingState): void {
    this.#save.run(agent, arriving, arrivedEpoch, leavingEpoch, marked ? 1 : 0, leftAtUs);
  }

  forget(agent: number): void {
    this.#delete.run(agent);
  }

  /** By the number of the agent. */
  load(): Map<number, MovingState> {
    const rows = this.#load.all() as unknown as Record<string, number>[];
    return new Map(
      rows.map((row) => [
        row['agent']!,
        {
          arriving: row['arriving']!,
          arrivedEpoch: row['arrived_epoch']!,
          leavingEpoch: row['leaving_epoch']!,
          marked: row['marked'] === 1,
          leftAtUs: row['left_at_us']!,
        },
      ]),
    );
  }

  holdBack(agent: number, history: boolean, entry: Uint8Array): void {
    this.#insert.run(agent, history ? 1 : 0, entry);
  }

  /** The first that waits; undefined when none does. */
  nextHeldBack(agent: number): HeldBackRow | undefined {
    const row = this.#next.get(agent) as { seq: number; history: number; entry: Uint8Array } | undefined;
    return row && { ...row, history: row.history === 1 };
  }

  removeHeldBack(seq: number): void {
    this.#remove.run(seq);
  }

  /** How much waits, by the number of the agent. */
  heldBack(): { agent: number; count: number; bytes: number }[] {
    return this.#held.all() as unknown as { agent: number; count: number; bytes: number }[];
  }
}
