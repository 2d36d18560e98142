/** A service as a process of its own, to be killed and started again on the same address. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { childEnvironment } from '@fleetwire/config';
import { freePort } from '@fleetwire/embedded';
import { checkHealth } from '@fleetwire/rpc';
import { eventually } from './eventually.ts';
import { tempFolder } from './temp-folder.ts';

export interface ServiceProcess extends AsyncDisposable {
  readonly address: string;
  /** SIGKILL, as a crash would; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Resolves when it is ready. */
  start(): Promise<void>;
}

export interface ServiceProcessOptions {
  /** For people, and the names of its files. */
  readonly name: string;
  /** Its main.ts. */
  readonly main: string;
  /** Besides FLEETWIRE_RPC_LISTEN. */
  readonly env: Readonly<Record<string, string>>;
}

/** `section` of the configuration as environment variables. */
export function settingsEnv(
  section: string,
  settings: Readonly<Record<string, unknown>>,
): Record<string, string> {
  const prefix = `FLEETWIRE_${section.toUpperCase()}_`;
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`${prefix}${key.toUpperCase()}`, String(value)]),
  );
}

/** Not started yet. */
export async function serviceProcess({ name, main, env }: ServiceProcessOptions): Promise<ServiceProcess> {
  const folder = tempFolder(`${name}-process`);
  const address = `127.0.0.1:${await freePort()}`;
  const logFile = join(folder.path, `${name}.log`);
  const log = createWriteStream(logFile);
  let child: ChildProcess | undefined;
  let gone: Promise<unknown> = Promise.resolve();
  const kill = async () => {
    if (child?.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await gone;
  };
  return {
    address,
    kill,
    start: async () => {
      const own = spawn(process.execPath, [main], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: childEnvironment({ FLEETWIRE_LOG_LEVEL: 'info', ...env, FLEETWIRE_RPC_LISTEN: address }),
      });
      child = own;
      own.stdout.pipe(log, { end: false });
      own.stderr.pipe(log, { end: false });
      gone = new Promise((resolve) => own.once('exit', resolve));
      const ready = () => checkHealth({ address, deadlineMs: 1000 }).catch(() => false);
      const state = await eventually(
        async () => {
          if (own.exitCode !== null) return 'exited';
          return (await ready()) ? 'ready' : undefined;
        },
        { timeoutMs: 30_000, everyMs: 20 },
      );
      if (state === 'exited')
        throw new Error(`${name} ended at its start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      log.end();
      await folder[Symbol.asyncDispose]();
    },
  };
}
