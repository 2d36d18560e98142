/** Processes that outlive the command that started them, and the signals that end the ones in the foreground. */

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRunning, type ProcessIdentity } from '@fleetwire/embedded';
import { FleetwireError, pause } from '@fleetwire/kernel';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const POLL_MS = 100;
const STOP_GRACE_MS = 30_000;

export interface DetachOptions {
  /** The command line of `fleetwire`. */
  readonly args: readonly string[];
  readonly logFile: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ready: () => Promise<boolean>;
  readonly timeoutMs: number;
}

/** Starts `fleetwire` anew, free of this terminal, and resolves with its pid when it is ready. */
export async function detach(o: DetachOptions): Promise<number> {
  await mkdir(dirname(o.logFile), { recursive: true });
  const log = openSync(o.logFile, 'a', 0o600);
  const child = spawn(process.execPath, [MAIN, ...o.args], {
    detached: true,
    stdio: ['ignore', log, log],
    env: o.env,
  });
  closeSync(log);
  let exit: number | undefined;
  child.once('exit', (code) => {
    exit = code ?? 1;
  });
  const deadline = performance.now() + o.timeoutMs;
  while (performance.now() < deadline && exit === undefined) {
    if (await o.ready()) {
      child.unref();
      return child.pid!;
    }
    await pause(POLL_MS);
  }
  if (exit === undefined) child.kill('SIGTERM');
  const tail = readFileSync(o.logFile, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
  throw new FleetwireError(
    'unavailable',
    'START_FAILED',
    exit === undefined
      ? `not ready within ${Math.round(o.timeoutMs / 1000)} s`
      : `it ended at once:\n${tail}`,
    { help: `Its log is ${o.logFile}` },
  );
}

/** Asks a process of ours to end and waits; throws STOP_TIMEOUT when it does not. */
export async function endProcess(identity: ProcessIdentity, name: string): Promise<void> {
  process.kill(identity.pid, 'SIGTERM');
  const deadline = performance.now() + STOP_GRACE_MS;
  while (isRunning(identity)) {
    if (performance.now() > deadline)
      throw new FleetwireError(
        'deadline_exceeded',
        'STOP_TIMEOUT',
        `${name} (process ${identity.pid}) does not end`,
        {
          help: `Look at its log, then end it with: kill -9 ${identity.pid}`,
        },
      );
    await pause(POLL_MS);
  }
}

/** Resolves after SIGINT or SIGTERM and then `stop`; a second signal ends the process at once. */
export async function untilSignal(
  stop: () => Promise<void>,
  onSignal: () => void = () => undefined,
): Promise<void> {
  const keepAlive = setInterval(() => undefined, 60_000);
  await new Promise<void>((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => {
        if (asked) process.exit(130);
        asked = true;
        resolve();
      });
  });
  onSignal();
  await stop();
  clearInterval(keepAlive);
}
