/**
 * A real PostgreSQL for tests: one server for each test process, or the one that OUTSIDE_DATABASE_URL names; a fresh
 * database for each call.
 */

import { randomBytes } from 'node:crypto';
import type { PostgresServer } from '@fleetwire/embedded';
import {
  createDatabase,
  dropDatabase,
  freePort,
  identityOf,
  isRunning,
  startPostgres,
} from '@fleetwire/embedded';
import type { TempFolder } from './temp-folder.ts';
import { blockMs, tempFolder } from './temp-folder.ts';

export interface TestPostgres extends AsyncDisposable {
  /** Of the fresh database, with user and password. */
  readonly url: string;
  readonly database: string;
}

/** A server of one test's own, to be killed and started again. */
export interface OwnPostgres extends AsyncDisposable {
  readonly url: string;
  readonly server: PostgresServer;
  /** Ends the server with SIGKILL, as a crash would, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder. */
  restart(): Promise<void>;
}

/** A killed server must still have what it acknowledged. */
export const DURABLE = { shared_buffers: '16MB' };
/** Durability is not what these tests are about, and the disk is shared. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', shared_buffers: '16MB' };

let shared: Promise<PostgresServer> | undefined;

/** An empty database; disposing drops it. The server ends with the process and its folder goes. */
export async function startTestPostgres(): Promise<TestPostgres> {
  const database = `test_${randomBytes(6).toString('hex')}`;
  const outside = process.env['OUTSIDE_DATABASE_URL'];
  if (outside !== undefined) return freshDatabase(outside, database);
  shared ??= startShared();
  const server = await shared;
  const url = await server.createDatabase(database);
  return { url, database, [Symbol.asyncDispose]: () => server.dropDatabase(database) };
}

/** The user of `server` must be allowed to create databases. */
async function freshDatabase(server: string, database: string): Promise<TestPostgres> {
  await createDatabase(server, database);
  const url = new URL(server);
  url.pathname = `/${database}`;
  return { url: url.href, database, [Symbol.asyncDispose]: () => dropDatabase(server, database) };
}

/** `settings` as of `startPostgres`. */
export async function startOwnPostgres(
  settings: Readonly<Record<string, string>> = FAST,
): Promise<OwnPostgres> {
  const folder = tempFolder('postgres');
  const port = await freePort();
  const start = () => startPostgres({ dir: folder.path, port, database: 'fleetwire', settings });
  let server = await start();
  return {
    url: server.url,
    get server() {
      return server;
    },
    kill: async () => {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
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
    endWithProcess(server, folder);
    return server;
  } catch (error) {
    shared = undefined;
    folder.keep();
    throw error;
  }
}

/** Politely when the process runs dry, and by force when it exits outright; then the folder goes. */
function endWithProcess(server: PostgresServer, folder: TempFolder): void {
  const identity = identityOf(server.pid);
  server.unref();
  process.once('beforeExit', () => {
    server
      .stop()
      .then(() => folder[Symbol.asyncDispose]())
      .catch((error: unknown) => console.error(error));
  });
  process.prependOnceListener('exit', () => {
    if (identity === undefined || !isRunning(identity)) return;
    process.kill(server.pid, 'SIGQUIT');
    const deadline = performance.now() + 2_000;
    while (isRunning(identity) && performance.now() < deadline) blockMs(10);
  });
}
