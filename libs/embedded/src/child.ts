/** A server as child process: detached from the terminal, logging to a file, recorded, and ended with us. */

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { boundLog, logTail, openLog } from './child-log.ts';
import { endOrphan, endProcess, forgetChild, recordChild } from './child-record.ts';
import { identityOf } from './process-identity.ts';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running server that answers. */
export interface ChildServer {
  readonly pid: number;
  readonly port: number;
  readonly url: string;
  /** Where its output goes. */
  readonly logFile: string;
  /** Resolves when it is gone, by whatever cause. */
  readonly exited: Promise<ChildExit>;
  /** Ends it politely, then by force; resolves when it is gone. Safe to call twice. */
  stop(): Promise<void>;
  /** Lets the process end although this child still runs; it is ended then. */
  unref(): void;
}

export interface SpawnedChild {
  readonly pid: number;
  readonly logFile: string;
  readonly exited: Promise<ChildExit>;
  /** What it wrote since it started, the last 4 KiB. */
  tail(): string;
  stop(): Promise<void>;
  unref(): void;
}

export interface SpawnOptions {
  readonly name: string;
  readonly binary: string;
  readonly args: readonly string[];
  /** Its folder: holds its log and the record of its pid. */
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  /** Signals that end it, politely first, ten seconds each. */
  readonly signals: readonly NodeJS.Signals[];
  /** Unix ids to run under; undefined: ours. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

const LOG_CHECK_MS = 30_000;
const running = new Map<number, { child: ChildProcess; signal: NodeJS.Signals | undefined }>();

process.on('exit', () => {
  for (const { child, signal } of running.values()) child.kill(signal);
});

/** Starts the process; rejects CHILD_NOT_STARTED (cause: the system's error) when it cannot be run at all. */
export async function spawnChild(o: SpawnOptions): Promise<SpawnedChild> {
  await endOrphan(o.dir);
  const logFile = join(o.dir, 'server.log');
  const log = openLog(logFile);
  // A session of its own: Ctrl-C in the terminal reaches us, and we end the children last.
  const child = spawn(o.binary, o.args, {
    cwd: o.dir,
    env: { ...o.env },
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    ...(o.user === undefined ? {} : { uid: o.user.uid, gid: o.user.gid }),
  });
  closeSync(log.fd);
  const pid = child.pid;
  const exited = watchExit(child, o.dir, logFile);
  if (pid === undefined) {
    const cause = await new Promise((resolve) => child.once('error', resolve));
    throw new FleetwireError('failed_precondition', 'CHILD_NOT_STARTED', `${o.name} could not be started`, {
      cause,
      details: { binary: o.binary },
    });
  }
  running.set(pid, { child, signal: o.signals[0] });
  const identity = recordChild(o.dir, o.name, pid, o.signals) ?? identityOf(pid);
  let stopping: Promise<void> | undefined;
  return {
    pid,
    logFile,
    exited,
    tail: () => logTail(logFile, log.size),
    stop: () => {
      stopping ??= (identity === undefined ? Promise.resolve() : endProcess(identity, o.signals)).then(
        async () => void (await exited),
      );
      return stopping;
    },
    unref: () => child.unref(),
  };
}

function watchExit(child: ChildProcess, dir: string, logFile: string): Promise<ChildExit> {
  const timer = setInterval(() => boundLog(logFile), LOG_CHECK_MS);
  timer.unref();
  return new Promise((resolve) => {
    const gone = (exit: ChildExit) => {
      clearInterval(timer);
      if (child.pid !== undefined) {
        running.delete(child.pid);
        forgetChild(dir, child.pid);
      }
      resolve(exit);
    };
    child.once('exit', (code, signal) => gone({ code, signal }));
    child.on('error', () => {
      if (child.pid === undefined) gone({ code: null, signal: null });
    });
  });
}

/** The typed error for a child that died while starting: a taken port, or the end of its log. */
export function startFailure(name: string, reason: string, tail: string, exit?: ChildExit): FleetwireError {
  if (/address (is )?already in use/i.test(tail)) {
    return new FleetwireError('failed_precondition', 'PORT_IN_USE', `${name}: its port is in use\n${tail}`, {
      help: 'Choose another port, or stop what listens there.',
    });
  }
  const how = exit === undefined ? 'did not answer in time' : `ended (${exit.signal ?? exit.code})`;
  return new FleetwireError('failed_precondition', reason, `${name} ${how}\n${tail}`);
}
