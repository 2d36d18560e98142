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
  readonly name: string;
  readonly address: string;
  /** Of the process that was started last. */
  pid(): number;
  /** SIGKILL, as a crash would; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Resolves when it is ready. */
  start(): Promise<void>;
  /** SIGTERM; resolves when the process is gone. */
  stop(): Promise<void>;
}

export interface ServiceProcessOptions {
  /** For people, and the names of its files. */
  readonly name: string;
  /** Its main.ts. */
  readonly main: string;
  /** Besides FLEETWIRE_RPC_LISTEN. */
  readonly env: Readonly<Record<string, string>>;
  /** Of Node.js. */
  readonly flags?: readonly string[];
  /** Where it listens, host:port; default: a free port. */
  readonly address?: string;
  /** How long it may take to be ready. Default 60,000. */
  readonly readyMs?: number;
  /** For its log `<name>.log`; default: one of its own that goes with it. */
  readonly dir?: string;
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
export async function serviceProcess(o: ServiceProcessOptions): Promise<ServiceProcess> {
  const { name, main, env, flags = [], readyMs = 60_000, address = `127.0.0.1:${await freePort()}` } = o;
  const folder = o.dir === undefined ? tempFolder(`${name}-process`) : undefined;
  const logFile = join(o.dir ?? folder!.path, `${name}.log`);
  const log = createWriteStream(logFile);
  let child: ChildProcess | undefined;
  let gone: Promise<unknown> = Promise.resolve();
  const running = () => child?.exitCode === null && child.signalCode === null;
  const end = async (signal: NodeJS.Signals) => {
    if (running()) child!.kill(signal);
    await gone;
  };
  return {
    name,
    address,
    pid: () => child!.pid!,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    start: async () => {
      const own = spawn(process.execPath, [...flags, main], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: childEnvironment({ FLEETWIRE_LOG_LEVEL: 'info', ...env, FLEETWIRE_RPC_LISTEN: address }),
      });
      child = own;
      own.stdout.pipe(log, { end: false });
      own.stderr.pipe(log, { end: false });
      gone = new Promise((resolve) => own.once('exit', resolve));
      const ready = () => checkHealth({ address, deadlineMs: 1000 }).catch(() => false);
      await eventually(async () => !running() || (await ready()), { timeoutMs: readyMs, everyMs: 20 });
      if (!running())
        throw new Error(`${name} ended at its start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
    },
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
      log.end();
      await folder?.[Symbol.asyncDispose]();
    },
  };
}
