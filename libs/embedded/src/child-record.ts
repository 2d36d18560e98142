/** Which process runs in a folder, written down beside its data, so that an orphan is found and ended later. */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError, pause } from '@fleetwire/kernel';
import type { ProcessIdentity } from './process-identity.ts';
import { identityOf, isRunning } from './process-identity.ts';

const FILE = 'child.json';
const POLL_MS = 20;

interface ChildRecord {
  readonly name: string;
  readonly child: ProcessIdentity;
  readonly parent: ProcessIdentity;
  /** Signals that end it, politely first. */
  readonly signals: readonly NodeJS.Signals[];
}

/** Writes the record at once: between the start of a child and this there must be no await. */
export function recordChild(
  dir: string,
  name: string,
  pid: number,
  signals: readonly NodeJS.Signals[],
): ProcessIdentity | undefined {
  const child = identityOf(pid);
  const parent = identityOf(process.pid);
  if (child === undefined || parent === undefined) return undefined;
  const record: ChildRecord = { name, child, parent, signals };
  writeFileSync(join(dir, FILE), JSON.stringify(record), { mode: 0o600 });
  return child;
}

export function forgetChild(dir: string, pid: number): void {
  if (readRecord(dir)?.child.pid === pid) rmSync(join(dir, FILE), { force: true });
}

/**
 * Ends what a dead process left running in `dir`; only a process whose pid and start are those recorded.
 * Throws FOLDER_LOCKED when the process that started it is still there.
 */
export async function endOrphan(dir: string): Promise<{ name: string; pid: number } | undefined> {
  const record = readRecord(dir);
  if (record === undefined) return undefined;
  if (!isRunning(record.child)) {
    rmSync(join(dir, FILE), { force: true });
    return undefined;
  }
  if (isRunning(record.parent)) {
    throw new FleetwireError(
      'failed_precondition',
      'FOLDER_LOCKED',
      `${record.name} (pid ${record.child.pid}) of process ${record.parent.pid} runs in ${dir}`,
      { help: 'Stop that process first, or choose another folder.', details: { dir } },
    );
  }
  await endProcess(record.child, record.signals);
  rmSync(join(dir, FILE), { force: true });
  return { name: record.name, pid: record.child.pid };
}

/** As `endOrphan`, for `dir` and the folders right below it. */
export async function endOrphansBelow(dir: string): Promise<{ name: string; pid: number }[]> {
  const folders = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const ended = [];
  for (const folder of [dir, ...folders.map((entry) => join(dir, entry.name))]) {
    const orphan = await endOrphan(folder);
    if (orphan !== undefined) ended.push(orphan);
  }
  return ended;
}

/** Sends one signal after the other, each with its time to work, until the process is gone. */
export async function endProcess(
  identity: ProcessIdentity,
  signals: readonly NodeJS.Signals[],
  stepMs = 10_000,
): Promise<void> {
  for (const signal of signals) {
    if (!isRunning(identity)) return;
    try {
      process.kill(identity.pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      throw new FleetwireError(
        'failed_precondition',
        'PROCESS_NOT_OURS',
        `process ${identity.pid} left behind by an earlier run cannot be ended`,
        { help: `End process ${identity.pid} by hand.`, cause: error },
      );
    }
    const deadline = performance.now() + stepMs;
    while (isRunning(identity) && performance.now() < deadline) await pause(POLL_MS);
  }
}

function readRecord(dir: string): ChildRecord | undefined {
  const file = join(dir, FILE);
  if (!existsSync(file)) return undefined;
  try {
    const record = JSON.parse(readFileSync(file, 'utf8')) as ChildRecord;
    return typeof record.child.pid === 'number' && Array.isArray(record.signals) ? record : undefined;
  } catch {
    return undefined; // a half-written record names nobody
  }
}
