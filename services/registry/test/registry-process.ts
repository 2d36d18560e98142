/** The registry as a process of its own, to be killed and started again on the same address. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { checkHealth } from '@fleetwire/rpc';
import { eventually, tempFolder } from '@fleetwire/testkit';
import type { RegistryWorld } from './fixture.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface RegistryProcess extends AsyncDisposable {
  readonly address: string;
  /** SIGKILL, as a crash would; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Resolves when it is ready. */
  start(): Promise<void>;
}

/** Not started yet. `settings` are those of the section registry. */
export async function registryProcess(
  world: RegistryWorld,
  settings: Readonly<Record<string, number>> = {},
): Promise<RegistryProcess> {
  const folder = tempFolder('registry-process');
  const address = `127.0.0.1:${await freePort()}`;
  const logFile = join(folder.path, 'registry.log');
  const log = createWriteStream(logFile);
  const env: Record<string, string> = {
    FLEETWIRE_NATS_URL: world.nats.url,
    FLEETWIRE_DATABASE_URL: world.databaseUrl,
    FLEETWIRE_DATABASE_POOL_MAX: '6',
    FLEETWIRE_KEYS_DIR: world.keysDir,
    FLEETWIRE_RPC_LISTEN: address,
    FLEETWIRE_LOG_LEVEL: 'info',
    FLEETWIRE_REGISTRY_ORG_ADDRESS: world.orgAddress,
  };
  for (const [key, value] of Object.entries({ sweep_ms: 200, flush_ms: 100, ...settings }))
    env[`FLEETWIRE_REGISTRY_${key.toUpperCase()}`] = String(value);
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
      const own = spawn(process.execPath, [MAIN], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: childEnvironment(env),
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
        throw new Error(`the registry ended at its start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      log.end();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
