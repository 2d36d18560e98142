/** A real PostgreSQL for tests: one server for each test process, a fresh database for each call. */

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { PostgresServer } from '@fleetwire/embedded';
import { freePort, startPostgres } from '@fleetwire/embedded';
import { tempFolder } from './temp-folder.ts';

export interface TestPostgres extends AsyncDisposable {
  /** Of the fresh database, with user and password. */
  readonly url: string;
  readonly database: string;
}

/** Durability is not what these tests are about, and the disk is shared. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', shared_buffers: '16MB' };

let shared: Promise<PostgresServer> | undefined;

/** An empty database; disposing drops it. The server ends with the process and its folder goes. */
export async function startTestPostgres(): Promise<TestPostgres> {
  shared ??= startShared();
  const server = await shared;
  const database = `test_${randomBytes(6).toString('hex')}`;
  const url = await server.createDatabase(database);
  return { url, database, [Symbol.asyncDispose]: () => server.dropDatabase(database) };
}

/** A server of one test's own, to be killed and started again; `settings` as of `startPostgres`. */
export async function startOwnPostgres(
  settings: Readonly<Record<string, string>> = FAST,
): Promise<
  AsyncDisposable & { readonly url: string; readonly server: PostgresServer; restart(): Promise<void> }
> {
  const folder = tempFolder('postgres');
  const port = await freePort();
  const start = () => startPostgres({ dir: folder.path, port, database: 'fleetwire', settings });
  let server = await start();
  return {
    url: server.url,
    get server() {
      return server;
    },
    restart: async () => {
      await server.stop();
      server = await start();
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function startShared(): Promise<PostgresServer> {
  const folder = tempFolder('postgres');
  try {
    const settings = { ...FAST, max_connections: '200' };
    const server = await startPostgres({
      dir: folder.path,
      port: await freePort(),
      database: 'postgres',
      settings,
    });
    endWithProcess(server, folder.path);
    return server;
  } catch (error) {
    shared = undefined;
    folder.keep();
    throw error;
  }
}

/** Politely when the process runs dry, and by force when it exits outright. */
function endWithProcess(server: PostgresServer, path: string): void {
  server.unref();
  process.once('beforeExit', () => {
    server
      .stop()
      .then(() => rmSync(path, { recursive: true, force: true }))
      .catch((error: unknown) => console.error(error));
  });
  process.once('exit', () => {
    try {
      process.kill(server.pid, 'SIGQUIT');
    } catch {
      // it has ended before us
    }
    rmSync(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 25 });
  });
}
