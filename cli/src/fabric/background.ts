/** Processes that outlive the command that started them, and how they and others are waited for and ended. */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { boundLog, isRunning, logTail, makeFolder, type ProcessIdentity } from '@fleetwire/embedded';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { errorOfDocument } from '../output.ts';
import { catchSignals } from './signals.ts';
import { type StarterWord, wordOf } from './starter.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
/**
 * Node.js's own default of 32 MiB lets the buffers of messages gather between two collections of the young until V8
 * takes them for growth of the old, and marks the whole heap twice a second.
 */
const NODE_FLAGS = ['--max-semi-space-size=16'];
const POLL_MS = 50;
/** What the parts of a fabric may take to end at most; see FLEETWIRE_LIFECYCLE_GRACE_MS. */
const STOP_GRACE_MS = 60_000;

export interface DetachOptions {
  /** The command line of `fleetwire`. */
  readonly args: readonly string[];
  readonly logFile: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/**
 * Starts `fleetwire` anew, free of this terminal, and resolves with its pid when it says that it is ready; files that an
 * earlier run left say nothing. Rejects with its own error, or unavailable: START_FAILED, START_TIMEOUT. A signal to
 * this process meanwhile ends it too: `cancelled` STOPPED.
 */
export async function detach(o: DetachOptions): Promise<number> {
  const child = spawnDetached(o);
  const leaving = catchSignals(() => child.kill('SIGTERM'));
  const timer = new AbortController();
  const late = pause(o.timeoutMs, timer.signal).then(() => 'late' as const);
  const outcome = await Promise.race([wordOf(child), late]);
  timer.abort();
  leaving.release();
  if (leaving.signal.aborted) throw stopped();
  if (outcome === 'late' || outcome === undefined || !('ready' in outcome)) {
    // It has said why and is closing what it had opened: the next try must not meet it.
    if (outcome !== 'late') await hasEnded(child);
    throw startFailure(o, outcome, child);
  }
  child.unref();
  if (child.connected) child.disconnect();
  return child.pid!;
}

async function hasEnded(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new AbortController();
  child.once('exit', () => gone.abort());
  await pause(STOP_GRACE_MS, gone.signal);
}

function spawnDetached(o: DetachOptions): ChildProcess {
  makeFolder(dirname(o.logFile));
  boundLog(o.logFile);
  const log = openSync(o.logFile, 'a', 0o600);
  try {
    return spawn(process.execPath, [...NODE_FLAGS, MAIN, ...o.args], {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
      env: o.env,
    });
  } finally {
    closeSync(log);
  }
}

function startFailure(
  o: DetachOptions,
  outcome: StarterWord | 'late' | undefined,
  child: ChildProcess,
): FleetwireError {
  const help = `Its log is ${o.logFile}`;
  if (outcome === 'late') {
    child.kill('SIGTERM');
    const seconds = Math.round(o.timeoutMs / 1000);
    return new FleetwireError('unavailable', 'START_TIMEOUT', `not ready within ${seconds} s`, {
      help: `${help}; FLEETWIRE_UP_READY_MS says how long to wait.`,
    });
  }
  if (outcome !== undefined && 'error' in outcome) return errorOfDocument(outcome.error);
  const last = logTail(o.logFile).split('\n').slice(-5).join('\n');
  return new FleetwireError('unavailable', 'START_FAILED', `it ended at once:\n${last}`, { help });
}

export const stopped = () =>
  new FleetwireError('cancelled', 'STOPPED', 'ended by a signal before it was ready');

/** Waits for somebody else's start; false when that process ends first. Throws START_TIMEOUT. */
export async function untilReady(
  identity: ProcessIdentity,
  ready: () => Promise<boolean>,
  timeoutMs: number,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    if (!isRunning(identity)) return false;
    if (performance.now() > deadline)
      throw new FleetwireError(
        'unavailable',
        'START_TIMEOUT',
        `process ${identity.pid} is still starting after ${Math.round(timeoutMs / 1000)} s`,
        { help: 'See what it waits for in its log, or end it with: fleetwire down' },
      );
    await pause(POLL_MS);
  }
  return true;
}

/** Asks a process of ours to end and waits; throws STOP_TIMEOUT when it does not, NOT_YOURS when it is another user's. */
export async function endProcess(identity: ProcessIdentity, name: string): Promise<void> {
  const { pid } = identity;
  try {
    if (isRunning(identity)) process.kill(pid, 'SIGTERM');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new FleetwireError('permission_denied', 'NOT_YOURS', `${name} (process ${pid}) is another user's`, {
      help: 'Run this as the user that started it.',
      cause,
    });
  }
  const deadline = performance.now() + STOP_GRACE_MS;
  while (isRunning(identity)) {
    if (performance.now() > deadline)
      throw new FleetwireError('deadline_exceeded', 'STOP_TIMEOUT', `${name} (process ${pid}) does not end`, {
        help: `Look at its log, then end it with: kill -9 ${pid}`,
      });
    await pause(POLL_MS);
  }
}
