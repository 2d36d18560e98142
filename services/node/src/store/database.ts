/** The node's one database file: opened, checked and brought to the present schema; all that it promises is in here. */

import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FleetwireError } from '@fleetwire/kernel';
import { storeFault } from './store-fault.ts';

/** Grows by one with each entry of MIGRATIONS. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE agents (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    adapter TEXT NOT NULL,
    spec TEXT NOT NULL,
    handle TEXT NOT NULL DEFAULT '',
    token_epoch INTEGER NOT NULL DEFAULT 1,
    attempted_up_to INTEGER NOT NULL DEFAULT 0,
    resuming INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
  );
  CREATE UNIQUE INDEX agents_folded ON agents (folded) WHERE removed = 0;
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    agent INTEGER NOT NULL,
    local INTEGER NOT NULL,
    envelope BLOB NOT NULL
  );
  CREATE TABLE sent (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    agent INTEGER NOT NULL,
    accepted_at_us INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    traceparent TEXT NOT NULL
  );
  CREATE TABLE seen (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    agent INTEGER NOT NULL,
    at_us INTEGER NOT NULL
  );
  CREATE UNIQUE INDEX seen_message ON seen (id, agent);
  CREATE TABLE inbox (
    agent INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    held_at_us INTEGER NOT NULL,
    ingress_at_us INTEGER NOT NULL,
    routed_at_us INTEGER NOT NULL,
    router TEXT NOT NULL,
    deadline_us INTEGER NOT NULL,
    history INTEGER NOT NULL,
    PRIMARY KEY (agent, seq)
  ) WITHOUT ROWID;
  CREATE TABLE unproven (
    seq INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL,
    to_node TEXT NOT NULL,
    receipt BLOB NOT NULL,
    at_us INTEGER NOT NULL
  );
  CREATE TABLE receipts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    to_node TEXT NOT NULL,
    batch BLOB NOT NULL
  );
  `,
  // Ids are unique for each sender only. Rows of before have no sender and no digest: see InboxTable and OutboxTable.
  `
  ALTER TABLE seen ADD COLUMN sender TEXT NOT NULL DEFAULT '';
  DROP INDEX seen_message;
  CREATE UNIQUE INDEX seen_message ON seen (id, agent, sender);
  ALTER TABLE sent ADD COLUMN digest INTEGER;
  `,
  // The digest is another one now; what was accepted before is recognized by its id alone.
  'UPDATE sent SET digest = NULL',
  // An agent's id changes when the registry has forgotten it; what its program was given at its start goes by local_id.
  `
  ALTER TABLE agents ADD COLUMN profile TEXT NOT NULL DEFAULT '';
  ALTER TABLE agents ADD COLUMN local_id TEXT NOT NULL DEFAULT '';
  UPDATE agents SET local_id = id;
  CREATE TABLE directory (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    entry BLOB NOT NULL
  ) WITHOUT ROWID;
  `,
  // Agents that come from another node or leave for one, and mail that has to wait for what comes with them.
  `
  CREATE TABLE moving (
    agent INTEGER PRIMARY KEY,
    arriving INTEGER NOT NULL DEFAULT 0,
    arrived_epoch INTEGER NOT NULL DEFAULT 0,
    leaving_epoch INTEGER NOT NULL DEFAULT 0,
    marked INTEGER NOT NULL DEFAULT 0,
    left_at_us INTEGER NOT NULL DEFAULT 0
  );
  CREATE TABLE held_back (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    agent INTEGER NOT NULL,
    history INTEGER NOT NULL,
    entry BLOB NOT NULL
  );
  CREATE INDEX held_back_agent ON held_back (agent, seq);
  `,
  // Priorities: what was attempted, for each level; a number of the delivery where that is not the sequence. Dead letters.
  `
  ALTER TABLE agents ADD COLUMN attempted_system INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE agents ADD COLUMN attempted_high INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE agents ADD COLUMN attempted_low INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE agents ADD COLUMN delivered_up_to INTEGER NOT NULL DEFAULT 0;
  UPDATE agents SET delivered_up_to = attempted_up_to;
  ALTER TABLE inbox ADD COLUMN level INTEGER NOT NULL DEFAULT 2;
  ALTER TABLE inbox ADD COLUMN delivery INTEGER;
  ALTER TABLE unproven ADD COLUMN delivery INTEGER;
  CREATE TABLE letters (seq INTEGER PRIMARY KEY AUTOINCREMENT, agent TEXT NOT NULL, letter BLOB NOT NULL);
  `,
  // Levels count upwards as everywhere: 0 low to 3 system, where they began with the highest.
  'UPDATE inbox SET level = 3 - level',
  // Who lives where, by name.
  'CREATE INDEX directory_name ON directory (name)',
  // Dead letters are replayed: the same message by a later attempt is taken in again.
  'ALTER TABLE seen ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0',
];

/** An open database, for those who only hand it on. */
export type Database = DatabaseSync;
export type SyncMode = 'normal' | 'always';

export const DATABASE_FILE = 'node.db';

const CHECKPOINT_BYTES = 32 * 1024 * 1024;

/**
 * Opens `<dir>/node.db`, 0600. What a transaction committed survives the end of the process at any moment; with
 * `sync: 'always'` also a power cut. Throws FOLDER_FROM_NEWER_VERSION for a file of a later version of the software,
 * NODE_STORE_DAMAGED for one that is no (whole) database, NODE_STORE_FAILED for one that cannot be opened.
 */
export function openDatabase(dir: string, sync: SyncMode): DatabaseSync {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(join(dir, DATABASE_FILE));
    prepare(db, join(dir, DATABASE_FILE), sync);
    return db;
  } catch (error) {
    db?.close();
    throw storeFault(error, dir);
  }
}

function prepare(db: DatabaseSync, file: string, sync: SyncMode): void {
  chmodSync(file, 0o600);
  // A page is the least that a commit writes, for each table that it touches: 4 KiB cost a single message 30 % less
  // than 8 KiB, and many at once the same. A file keeps the size that it was made with.
  db.exec('PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 2000');
  db.exec(`PRAGMA synchronous = ${sync === 'always' ? 'FULL' : 'NORMAL'}; PRAGMA cache_size = -32768`);
  // A checkpoint waits for the disk: one every 32 MiB, so that a steady load does not stop for it all the time.
  const { page_size } = db.prepare('PRAGMA page_size').get() as { page_size: number };
  db.exec(`PRAGMA wal_autocheckpoint = ${Math.floor(CHECKPOINT_BYTES / page_size)}`);
  migrate(db, file);
}

function migrate(db: DatabaseSync, file: string): void {
  const row = db.prepare('PRAGMA user_version').get() as { user_version: number };
  const version = row.user_version;
  if (version > MIGRATIONS.length) {
    throw new FleetwireError(
      'failed_precondition',
      'FOLDER_FROM_NEWER_VERSION',
      `${file} has schema ${version}; this version knows ${MIGRATIONS.length}`,
      { help: 'Start the newer version of Fleetwire on this folder, or use another folder.' },
    );
  }
  for (let next = version; next < MIGRATIONS.length; next++) {
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec(MIGRATIONS[next]!);
      db.exec(`PRAGMA user_version = ${next + 1}`);
      db.exec('COMMIT');
    } catch (error) {
      db.exec('ROLLBACK');
      throw error;
    }
  }
}
