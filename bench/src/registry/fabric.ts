/** A fabric for the benchmark of the registry: servers, org, two registries and two routers, each a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { LIMITS } from '@fleetwire/contract';
import { freePort, startNatsServer, startPostgres } from '@fleetwire/embedded';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { ensureKeys, natsServerConfig } from '@fleetwire/identity';
import { checkHealth, createRpcClient } from '@fleetwire/rpc';
import { bootstrapFabric } from '@fleetwire/runtime';
import { eventually, fabricUser, tempFolder } from '@fleetwire/testkit';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const READY_MS = 60_000;
/** As `fleetwire up` starts its processes. */
export const NODE_FLAGS = ['--max-semi-space-size=16'];

/** What one node may send is bounded to hold up nobody else; the question here is what the registry can answer. */
const NO_SHARES = {
  FLEETWIRE_REGISTRY_HEARTBEATS_BURST: '10000',
  FLEETWIRE_REGISTRY_HEARTBEATS_EVERY_MS: '1',
};

/** One process of a service. */
export interface Replica {
  readonly role: string;
  readonly address: string;
  pid(): number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface RegistryFabric {
  readonly natsUrl: string;
  /** Credentials of a user in the fabric's account who may do everything there. */
  readonly creds: string;
  readonly registries: readonly [Replica, Replica];
  /** The second asks no registry: what it knows, its table has. */
  readonly routers: readonly [Replica, Replica];
  readonly roles: ReadonlyMap<number, string>;
  /** Of an admin. */
  token(): Promise<string>;
  joinTokens(count: number): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startRegistryFabric(): Promise<RegistryFabric> {
  const folder = tempFolder('bench');
  const open: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const part of open.splice(0).reverse()) await part.stop();
    await folder[Symbol.asyncDispose]();
  };
  try {
    const keys = join(folder.path, 'keys');
    await ensureKeys(keys, { services: ['org', 'registry', 'router', 'delivery'] });
    const nats = await natsOf(folder.path, keys);
    open.push(nats.server);
    const postgres = await startPostgres({
      dir: join(folder.path, 'postgres'),
      port: await freePort(),
      database: 'fleetwire',
    });
    open.push(postgres);
    await bootstrapFabric({ keysDir: keys, natsUrls: [nats.url] });
    const env = {
      FLEETWIRE_NATS_URL: nats.url,
      FLEETWIRE_DATABASE_URL: postgres.url,
      FLEETWIRE_KEYS_DIR: keys,
      FLEETWIRE_LOG_LEVEL: 'warn',
    };
    const add = async (service: string, role: string, more: Record<string, string> = {}) => {
      const replica = await replicaOf(folder.path, service, role, { ...env, ...more });
      await replica.start();
      open.push(replica);
      return replica;
    };
    const org = await add('org', 'org');
    const toOrg = { ...NO_SHARES, FLEETWIRE_REGISTRY_ORG_ADDRESS: org.address };
    const registries = [
      await add('registry', 'registry-1', toOrg),
      await add('registry', 'registry-2', toOrg),
    ];
    const toRegistry = { FLEETWIRE_ROUTER_REGISTRY_ADDRESS: registries[0]!.address };
    const routers = [await add('router', 'router-1', toRegistry), await add('router', 'router-2')];
    const token = () => exchange(org.address, readFileSync(join(keys, 'first-api-key'), 'utf8').trim());
    return {
      natsUrl: nats.url,
      creds: await fabricUser(keys),
      registries: registries as [Replica, Replica],
      routers: routers as [Replica, Replica],
      get roles() {
        const replicas = [org, ...registries, ...routers].map((r) => [r.pid(), r.role] as const);
        return new Map([...replicas, [nats.server.pid, 'nats-server'], [postgres.pid, 'postgres']]);
      },
      token,
      joinTokens: async (count) => joinTokens(org.address, await token(), count),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function natsOf(folder: string, keys: string) {
  const dir = join(folder, 'nats');
  await mkdir(dir, { recursive: true });
  const port = await freePort();
  const configFile = join(dir, 'nats.conf');
  const config = await natsServerConfig(keys, {
    host: '127.0.0.1',
    port,
    storeDir: join(dir, 'store'),
    resolverDir: join(dir, 'accounts'),
    serverName: 'bench',
    maxPayload: LIMITS.serverMaxPayload,
  });
  await writeFile(configFile, config, { mode: 0o600 });
  const binary = childEnvironment()['FLEETWIRE_NATS_SERVER'];
  return { server: await startNatsServer({ configFile, dir, binary }), url: `nats://127.0.0.1:${port}` };
}

async function replicaOf(
  folder: string,
  service: string,
  role: string,
  env: Record<string, string>,
): Promise<Replica> {
  const address = `127.0.0.1:${await freePort()}`;
  const main = join(ROOT, 'services', service, 'src', 'main.ts');
  const logFile = join(folder, `${role}.log`);
  const log = createWriteStream(logFile, { flags: 'a' });
  let child: ChildProcess | undefined;
  let gone: Promise<unknown> = Promise.resolve();
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  return {
    role,
    address,
    pid: () => child!.pid!,
    start: async () => {
      const own = spawn(process.execPath, [...NODE_FLAGS, main], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: childEnvironment({ ...env, FLEETWIRE_RPC_LISTEN: address, FLEETWIRE_INSTANCE: role }),
      });
      child = own;
      own.stdout.pipe(log, { end: false });
      own.stderr.pipe(log, { end: false });
      gone = new Promise((resolve) => own.once('exit', resolve));
      const ready = () => checkHealth({ address, deadlineMs: 1000 }).catch(() => false);
      await eventually(async () => !running() || (await ready()), { timeoutMs: READY_MS, everyMs: 20 });
      if (!running())
        throw new Error(`${role} ended at its start:\n${readFileSync(logFile, 'utf8').slice(-2000)}`);
    },
    stop: async () => {
      if (running()) child!.kill('SIGTERM');
      await gone;
    },
  };
}

async function exchange(address: string, apiKey: string): Promise<string> {
  const client = createRpcClient(OrgServiceDefinition, { address });
  try {
    return (await client.exchangeKey({ apiKey })).token;
  } finally {
    client.close();
  }
}

async function joinTokens(address: string, token: string, count: number): Promise<string[]> {
  const client = createRpcClient(OrgServiceDefinition, { address, token: () => token });
  try {
    const tokens: string[] = [];
    for (let i = 0; i < count; i++) tokens.push((await client.createJoinToken({ ttlS: 3600 })).joinToken);
    return tokens;
  } finally {
    client.close();
  }
}
