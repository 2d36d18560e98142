/** One process per data folder, also after crashes, and no data of a later release touched. */

import {
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { endOrphansBelow } from './child-record.ts';
import { makeFolder } from './make-folder.ts';
import type { ProcessIdentity } from './process-identity.ts';
import { identityOf, isRunning } from './process-identity.ts';

/** What is written into a folder; raised when an older release could no longer read it. */
export const FOLDER_FORMAT = 1;

const LOCK_FILE = 'lock.json';
const TAKEOVER_FILE = 'lock.takeover';
const FORMAT_FILE = 'format.json';
/** How often the holder shows that it lives, for other hosts and containers that cannot see its pid. */
const TOUCH_MS = 5_000;
const FOREIGN_STALE_MS = 30_000;
const TAKEOVER_STALE_MS = 10_000;

interface Holder extends ProcessIdentity {
  readonly host: string;
  readonly since: string;
}

export interface FolderLock {
  readonly dir: string;
  /** Children of a dead holder that were found running and ended. */
  readonly endedOrphans: readonly { readonly name: string; readonly pid: number }[];
  release(): Promise<void>;
}

/**
 * Makes the folder when it is not there and holds it for this process. A dead holder's lock is taken over, and what
 * that one left running in `dir` or right below it is ended first.
 * Rejects failed_precondition: FOLDER_LOCKED, FOLDER_NOT_WRITABLE, FOLDER_FROM_NEWER_VERSION.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const dir = resolve(folder);
  const me = thisProcess();
  try {
    makeFolder(dir);
    checkFormat(dir);
    acquire(dir, me);
  } catch (error) {
    throw asFolderError(dir, error);
  }
  const release = holdLock(dir);
  try {
    writeFormat(dir);
    return { dir, endedOrphans: await endOrphansBelow(dir), release };
  } catch (error) {
    await release();
    throw asFolderError(dir, error);
  }
}

/** The process that holds the folder; undefined when none does, or one on another host. */
export function lockHolder(folder: string): ProcessIdentity | undefined {
  const holder = readHolder(join(resolve(folder), LOCK_FILE));
  return typeof holder === 'object' && holder.host === hostname() && isRunning(holder) ? holder : undefined;
}

function acquire(dir: string, me: Holder): void {
  const file = join(dir, LOCK_FILE);
  for (let round = 0; round < 3; round++) {
    if (writeExclusive(file, JSON.stringify(me))) return;
    const holder = readHolder(file);
    if (holder === 'gone') continue;
    if (!isStale(dir, holder)) throw lockedBy(dir, holder);
    if (takeOver(dir, file, me)) return;
  }
  throw lockedBy(dir, readHolder(file));
}

/** Only who holds the take-over file may replace a stale lock, after another look at it. */
function takeOver(dir: string, file: string, me: Holder): boolean {
  const guard = join(dir, TAKEOVER_FILE);
  if (!writeExclusive(guard, String(me.pid))) {
    const age = ageMs(dir, guard);
    if (age !== undefined && age > TAKEOVER_STALE_MS) rmSync(guard, { force: true });
    return false;
  }
  try {
    const holder = readHolder(file);
    if (holder !== 'gone' && !isStale(dir, holder)) return false;
    const fresh = `${file}.${me.pid}`;
    writeFileSync(fresh, JSON.stringify(me), { mode: 0o600 });
    renameSync(fresh, file);
    return true;
  } finally {
    rmSync(guard, { force: true });
  }
}

type Found = Holder | 'gone' | 'unreadable';

/** A holder on this host is judged by its process, one elsewhere by when it last touched the lock. */
function isStale(dir: string, holder: Found): boolean {
  if (holder === 'gone') return true;
  if (holder !== 'unreadable' && holder.host === hostname()) return !isRunning(holder);
  const age = ageMs(dir, join(dir, LOCK_FILE));
  return age === undefined || age > FOREIGN_STALE_MS;
}

function holdLock(dir: string): () => Promise<void> {
  const file = join(dir, LOCK_FILE);
  const timer = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(file, now, now);
    } catch {
      // The folder is away; whoever works in it will notice in its own words.
    }
  }, TOUCH_MS);
  timer.unref();
  let released = false;
  return async () => {
    clearInterval(timer);
    const holder = readHolder(file);
    if (!released && typeof holder === 'object' && holder.pid === process.pid) rmSync(file, { force: true });
    released = true;
  };
}

function thisProcess(): Holder {
  const identity = identityOf(process.pid) ?? { pid: process.pid, started: 'unknown' };
  return { ...identity, host: hostname(), since: new Date().toISOString() };
}

function readHolder(file: string): Found {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as Holder;
    return typeof holder.pid === 'number' && typeof holder.started === 'string' ? holder : 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'gone' : 'unreadable';
  }
}

function writeExclusive(file: string, text: string): boolean {
  try {
    const fd = openSync(file, 'wx', 0o600);
    try {
      writeFileSync(fd, text);
    } finally {
      closeSync(fd);
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Milliseconds since `file` was touched, by the clock of the file system both were written to. */
function ageMs(dir: string, file: string): number | undefined {
  const probe = join(dir, `clock.${process.pid}`);
  try {
    writeFileSync(probe, '');
    return statSync(probe).mtimeMs - statSync(file).mtimeMs;
  } catch {
    return undefined;
  } finally {
    rmSync(probe, { force: true });
  }
}

function checkFormat(dir: string): void {
  let format: unknown;
  try {
    format = (JSON.parse(readFileSync(join(dir, FORMAT_FILE), 'utf8')) as { format?: unknown }).format;
  } catch {
    return; // new, or from before the first format was written
  }
  if (typeof format !== 'number' || format <= FOLDER_FORMAT) return;
  throw new FleetwireError(
    'failed_precondition',
    'FOLDER_FROM_NEWER_VERSION',
    `${dir} was written by a later release (format ${format}, this one knows ${FOLDER_FORMAT})`,
    { help: 'Use that release, or choose another folder.', details: { dir } },
  );
}

function writeFormat(dir: string): void {
  const file = join(dir, FORMAT_FILE);
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify({ format: FOLDER_FORMAT })}\n`, { mode: 0o600 });
  renameSync(fresh, file);
}

function lockedBy(dir: string, holder: Found): FleetwireError {
  const who = typeof holder === 'object' ? `process ${holder.pid} on ${holder.host}` : 'another process';
  return new FleetwireError('failed_precondition', 'FOLDER_LOCKED', `${dir} is in use by ${who}`, {
    help: 'Stop that process first, or choose another folder.',
    details: { dir, ...(typeof holder === 'object' ? { pid: String(holder.pid), host: holder.host } : {}) },
  });
}

const NOT_WRITABLE = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC']);

function asFolderError(dir: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof FleetwireError || code === undefined || !NOT_WRITABLE.has(code)) return error;
  return new FleetwireError(
    'failed_precondition',
    'FOLDER_NOT_WRITABLE',
    `${dir} cannot be written (${code})`,
    {
      help: 'Choose a folder that this user may write, with room on its disk.',
      details: { dir, code },
      cause: error,
    },
  );
}
