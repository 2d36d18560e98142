/** A real PostgreSQL server as child process, on 127.0.0.1 only. */

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { Client } from 'pg';
import type { ChildExit, ChildServer, SpawnedChild } from './child.ts';
import { spawnChild, startFailure } from './child.ts';
import { findPostgres, reachableBinaries } from './postgres-binaries.ts';
import type { Cluster } from './postgres-cluster.ts';
import { ensureCluster, prepareFolder, SUPERUSER } from './postgres-cluster.ts';
import { postgresUser } from './postgres-user.ts';

const MiB = 1024 * 1024;
/** How long the processes of a killed server may take to end, and between two looks. */
const FORMER_MS = 10_000;
const FORMER_PAUSE_MS = 100;
/** Of a start: recovery takes a while. */
const START_MS = 60_000;

export interface PostgresOptions {
  /** Gets the data, the password (0600), the log and the record of its pid. */
  readonly dir: string;
  readonly port: number;
  /** Made when it is not there. */
  readonly database: string;
  /** Further server settings, such as `{ max_connections: '200' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface PostgresServer extends ChildServer {
  /** Creates it when it is not there and gives its URL, with user and password. */
  createDatabase(name: string): Promise<string>;
  /** Drops it together with the connections to it. */
  dropDatabase(name: string): Promise<void>;
}

/**
 * Resolves when it answers queries; `url` names the database. As root it runs under an unprivileged user.
 * Rejects failed_precondition: POSTGRES_MISSING, POSTGRES_USER_MISSING, FOLDER_UNREACHABLE, POSTGRES_INIT_FAILED,
 * PORT_IN_USE, POSTGRES_VERSION, POSTGRES_START_FAILED.
 */
export async function startPostgres(o: PostgresOptions): Promise<PostgresServer> {
  const dir = resolve(o.dir);
  const user = postgresUser(join(dir, 'data'));
  prepareFolder(dir, user);
  const found = await findPostgres();
  const binaries = user === undefined ? found : reachableBinaries(found, user, dir);
  const cluster = await ensureCluster(dir, binaries, user);
  const spawn = () =>
    spawnChild({
      name: 'postgres',
      binary: binaries.postgres,
      args: serverArguments(cluster, o),
      dir,
      env: KEEP_MEMORY,
      // Fast shutdown, then immediate; see the PostgreSQL manual, "Shutting Down the Server".
      signals: ['SIGINT', 'SIGQUIT', 'SIGKILL'],
      user,
    });
  const child = await readyChild(spawn, cluster);
  const urlOf = (name: string) =>
    `postgresql://${SUPERUSER}:${cluster.password}@127.0.0.1:${o.port}/${encodeURIComponent(name)}`;
  const server: PostgresServer = {
    pid: child.pid,
    port: o.port,
    url: urlOf(o.database),
    logFile: child.logFile,
    exited: child.exited,
    stop: child.stop,
    unref: child.unref,
    createDatabase: async (name) => {
      await createDatabase(urlOf('postgres'), name);
      return urlOf(name);
    },
    dropDatabase: (name) => dropDatabase(urlOf('postgres'), name),
  };
  try {
    await server.createDatabase(o.database);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return server;
}

/**
 * A bulk insert takes megabytes and gives them back. By default glibc returns them to the system each time, and the
 * server spends a tenth of its time on having the pages zeroed again (mallopt(3)).
 */
const KEEP_MEMORY = {
  // The most that glibc takes.
  MALLOC_MMAP_THRESHOLD_: String(32 * MiB),
  MALLOC_TRIM_THRESHOLD_: String(128 * MiB),
};

function serverArguments(cluster: Cluster, o: PostgresOptions): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: String(o.port),
    unix_socket_directories: '',
    log_destination: 'stderr',
    logging_collector: 'off',
    // Fewer checkpoints: after each, the first change of every page is written whole. All of this keeps durability.
    max_wal_size: '2GB',
    checkpoint_timeout: '15min',
    shared_buffers: '256MB',
    wal_buffers: '16MB',
    wal_init_zero: 'off',
    jit: 'off',
    ...o.settings,
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  return ['-D', cluster.dataDir, ...flags];
}

/** Tried again while processes of a server that was killed before still hold its memory: they end within a moment. */
async function readyChild(spawn: () => Promise<SpawnedChild>, cluster: Cluster): Promise<SpawnedChild> {
  const deadline = performance.now() + FORMER_MS;
  for (;;) {
    const child = await spawn();
    try {
      await waitReady(child, cluster);
      return child;
    } catch (error) {
      const held = /pre-existing shared memory block/.test(child.tail());
      if (!held || performance.now() >= deadline) throw error;
      await pause(FORMER_PAUSE_MS);
    }
  }
}

async function waitReady(child: SpawnedChild, cluster: Cluster): Promise<void> {
  let exit: ChildExit | undefined;
  void child.exited.then((e) => {
    exit = e;
  });
  const deadline = performance.now() + START_MS;
  while (exit === undefined && performance.now() < deadline) {
    if (saysReady(cluster.dataDir, child.pid)) return;
    await pause(10);
  }
  if (exit === undefined) await child.stop();
  const tail = child.tail();
  if (/incompatible with server/.test(tail)) {
    throw new FleetwireError(
      'failed_precondition',
      'POSTGRES_VERSION',
      `another version made this data\n${tail}`,
      {
        help: 'Move the data with pg_dump and pg_restore, or use the earlier release.',
      },
    );
  }
  throw startFailure('postgres', 'POSTGRES_START_FAILED', tail, exit);
}

/** postmaster.pid: the server's pid in the first line, its state in the eighth. */
function saysReady(dataDir: string, pid: number): boolean {
  const file = join(dataDir, 'postmaster.pid');
  if (!existsSync(file)) return false;
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
  } catch {
    return false; // removed between the two looks
  }
}

/** `url` names any database of the server. */
export async function createDatabase(url: string, name: string): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rows.length === 0) await client.query(`create database ${client.escapeIdentifier(name)}`);
  });
}

/** With the connections to it; `url` names another database of the server. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
  });
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: 10_000,
    application_name: 'fleetwire-embedded',
  });
  client.on('error', () => undefined); // a lost connection shows as the failed query
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
