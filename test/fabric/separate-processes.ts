/** A whole fabric as separate processes for one test: its own servers, services and nodes, each to be killed and restarted. */

import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { freePort, startNatsServer, startPostgres } from '@fleetwire/embedded';
import { ensureKeys } from '@fleetwire/identity';
import { bootstrapFabric } from '@fleetwire/runtime';
import { firstAdmin, operatorMode, serviceProcess, tempFolder } from '@fleetwire/testkit';
import { assertNothingRefused } from './nothing-refused.ts';

const SERVICES = ['org', 'registry', 'router', 'delivery'] as const;
export type ServiceName = (typeof SERVICES)[number];
const mainOf = (service: ServiceName | 'node') =>
  fileURLToPath(new URL(`../../services/${service}/src/main.ts`, import.meta.url));

/** One part of the fabric in a process of its own. */
export interface Part {
  readonly name: string;
  pid(): number;
  /** SIGKILL, as a crash would; resolves when the process is gone. */
  kill(): Promise<void>;
  /** On the same ports and folders as before; resolves when it is ready. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface NodePart extends Part {
  readonly address: string;
  adminToken(): string;
}

export interface SeparateFabric extends AsyncDisposable {
  readonly folder: string;
  readonly parts: Readonly<Record<ServiceName | 'nats' | 'postgres', Part>>;
  /** All replicas of the router; `parts.router` is the first. */
  readonly routers: readonly Part[];
  readonly nodes: Readonly<Record<string, NodePart>>;
  readonly addresses: Readonly<Record<ServiceName, string>>;
  readonly natsUrl: string;
  readonly databaseUrl: string;
  readonly keysDir: string;
  /** An admin's token for the services. */
  token(): Promise<string>;
  /** The logs of all parts stay where they are, and their folder is printed. */
  keep(): void;
}

export interface FabricOptions {
  readonly nodes: readonly string[];
  /** Further environment for every part. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long a service or node may take to be ready. Default 60,000. */
  readonly readyMs?: number;
  /** Replicas of the router. Default 1. */
  readonly routers?: number;
  /** Flags of Node.js for all processes of a service, or for the nodes. */
  readonly flags?: Readonly<Partial<Record<ServiceName | 'node', readonly string[]>>>;
}

/** Settings that make a failure visible sooner; every figure is a documented key of the configuration. */
export async function startSeparateFabric(o: FabricOptions): Promise<SeparateFabric> {
  const folder = tempFolder('fabric');
  const started: Part[] = [];
  const stop = async () => {
    for (const part of started.splice(0).reverse()) await part.stop();
  };
  try {
    const keys = join(folder.path, 'keys');
    await ensureKeys(keys, { services: [...SERVICES] });
    const add = async <P extends Part>(part: P): Promise<P> => {
      await part.start();
      started.push(part);
      return part;
    };
    const nats = await add(await natsPart(folder.path, keys));
    const postgres = await add(await postgresPart(folder.path));
    await bootstrapFabric({ keysDir: keys, natsUrls: [nats.url] });
    const env: Record<string, string> = {
      FLEETWIRE_NATS_URL: nats.url,
      FLEETWIRE_DATABASE_URL: postgres.url(),
      FLEETWIRE_KEYS_DIR: keys,
      FLEETWIRE_LOG_LEVEL: 'debug',
      ...o.env,
    };
    const addresses = {} as Record<ServiceName, string>;
    for (const name of SERVICES) addresses[name] = `127.0.0.1:${await freePort()}`;
    env['FLEETWIRE_REGISTRY_ORG_ADDRESS'] = addresses.org;
    env['FLEETWIRE_ROUTER_REGISTRY_ADDRESS'] = addresses.registry;
    env['FLEETWIRE_DELIVERY_REGISTRY_ADDRESS'] = addresses.registry;
    const parts: Record<string, Part> = { nats, postgres };
    const { readyMs = 60_000 } = o;
    const service = async (kind: ServiceName, name: string, address: string) => {
      const flags = o.flags?.[kind] ?? [];
      const own = { name, main: mainOf(kind), env, flags, readyMs };
      return add(await serviceProcess({ ...own, address, dir: folder.path }));
    };
    for (const name of SERVICES) parts[name] = await service(name, name, addresses[name]);
    const routers = [parts['router']!];
    for (let i = 2; i <= (o.routers ?? 1); i++)
      routers.push(await service('router', `router-${i}`, `127.0.0.1:${await freePort()}`));
    const admin = firstAdmin(addresses.org, keys);
    const nodes: Record<string, NodePart> = {};
    const joinTokens = await admin.joinTokens(o.nodes.length);
    for (const [i, name] of o.nodes.entries())
      nodes[name] = await add(await nodePart(folder.path, name, addresses.registry, joinTokens[i]!, o));
    return {
      folder: folder.path,
      parts: parts as SeparateFabric['parts'],
      routers,
      nodes,
      addresses,
      natsUrl: nats.url,
      databaseUrl: postgres.url(),
      keysDir: keys,
      token: admin.token,
      keep: folder.keep,
      [Symbol.asyncDispose]: async () => {
        await stop();
        try {
          assertNothingRefused(join(folder.path, 'nats', 'server.log'));
        } finally {
          await folder[Symbol.asyncDispose]();
        }
      },
    };
  } catch (error) {
    folder.keep();
    await stop();
    throw error;
  }
}

async function natsPart(folder: string, keys: string): Promise<Part & { readonly url: string }> {
  const dir = join(folder, 'nats');
  await mkdir(dir, { recursive: true });
  const port = await freePort();
  const configFile = join(dir, 'nats.conf');
  await writeFile(configFile, await operatorMode(keys)({ dir, port }), { mode: 0o600 });
  const binary = childEnvironment()['FLEETWIRE_NATS_SERVER'];
  const server = serverPart('nats', () => startNatsServer({ configFile, dir, binary }));
  return { ...server, url: `nats://127.0.0.1:${port}` };
}

async function postgresPart(folder: string): Promise<Part & { url(): string }> {
  const port = await freePort();
  let url = '';
  const part = serverPart('postgres', async () => {
    const server = await startPostgres({ dir: join(folder, 'postgres'), port, database: 'fleetwire' });
    url = server.url;
    return server;
  });
  return { ...part, url: () => url };
}

interface Server {
  readonly pid: number;
  readonly exited: Promise<unknown>;
  stop(): Promise<void>;
}

function serverPart(name: string, open: () => Promise<Server>): Part {
  let server: Server | undefined;
  return {
    name,
    pid: () => server!.pid,
    kill: async () => {
      process.kill(server!.pid, 'SIGKILL');
      await server!.exited;
    },
    start: async () => {
      server = await open();
    },
    stop: async () => server?.stop(),
  };
}

async function nodePart(
  folder: string,
  name: string,
  registry: string,
  joinToken: string,
  o: FabricOptions,
): Promise<NodePart> {
  const dir = join(folder, 'nodes', name);
  await mkdir(dir, { recursive: true });
  const own = {
    FLEETWIRE_LOG_LEVEL: 'debug',
    ...o.env,
    FLEETWIRE_NODE_NAME: name,
    FLEETWIRE_NODE_DATA_DIR: dir,
    FLEETWIRE_NODE_REGISTRY: registry,
    FLEETWIRE_NODE_JOIN_TOKEN: joinToken,
  };
  const flags = o.flags?.node ?? [];
  const readyMs = o.readyMs ?? 60_000;
  const part = await serviceProcess({
    name: `node-${name}`,
    main: mainOf('node'),
    env: own,
    flags,
    readyMs,
    dir: folder,
  });
  return { ...part, adminToken: () => readFileSync(join(dir, 'admin-token'), 'utf8').trim() };
}
