/** A whole fabric as separate processes for one test: its own servers, services and nodes, each to be killed and restarted. */

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
import { eventually, tempFolder } from '@fleetwire/testkit';
import { assertNothingRefused } from './nothing-refused.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SERVICES = ['org', 'registry', 'router', 'delivery'] as const;
export type ServiceName = (typeof SERVICES)[number];

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
  readonly nodes: Readonly<Record<string, NodePart>>;
  readonly addresses: Readonly<Record<ServiceName, string>>;
  /** An admin's token for the services. */
  token(): Promise<string>;
  /** The logs of all parts stay where they are, and their folder is printed. */
  keep(): void;
}

export interface FabricOptions {
  readonly nodes: readonly string[];
  /** Further environment for every part. */
  readonly env?: Readonly<Record<string, string>>;
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
    const parts: Record<string, Part> = { nats, postgres };
    for (const name of SERVICES)
      parts[name] = await add(servicePart(folder.path, name, addresses[name], env));
    const apiKey = readFileSync(join(keys, 'first-api-key'), 'utf8').trim();
    const token = () => exchange(addresses.org, apiKey);
    const nodes: Record<string, NodePart> = {};
    for (const name of o.nodes) {
      const joinToken = await newJoinToken(addresses.org, await token());
      nodes[name] = await add(await nodePart(folder.path, name, addresses.registry, joinToken, o.env ?? {}));
    }
    return {
      folder: folder.path,
      parts: parts as SeparateFabric['parts'],
      nodes,
      addresses,
      token,
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

async function exchange(address: string, apiKey: string): Promise<string> {
  const client = createRpcClient(OrgServiceDefinition, { address });
  try {
    return (await client.exchangeKey({ apiKey })).token;
  } finally {
    client.close();
  }
}

async function newJoinToken(address: string, token: string): Promise<string> {
  const client = createRpcClient(OrgServiceDefinition, { address, token: () => token });
  try {
    return (await client.createJoinToken({ ttlS: 600 })).joinToken;
  } finally {
    client.close();
  }
}

async function natsPart(folder: string, keys: string): Promise<Part & { readonly url: string }> {
  const dir = join(folder, 'nats');
  await mkdir(dir, { recursive: true });
  const port = await freePort();
  const configFile = join(dir, 'nats.conf');
  const config = await natsServerConfig(keys, {
    host: '127.0.0.1',
    port,
    storeDir: join(dir, 'store'),
    resolverDir: join(dir, 'accounts'),
    serverName: 'test',
    maxPayload: LIMITS.serverMaxPayload,
  });
  await writeFile(configFile, config, { mode: 0o600 });
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

function servicePart(folder: string, name: ServiceName, address: string, env: Record<string, string>): Part {
  const main = join(ROOT, 'services', name, 'src', 'main.ts');
  return processPart(folder, name, main, { ...env, FLEETWIRE_RPC_LISTEN: address }, () =>
    checkHealth({ address, deadlineMs: 1000 }),
  );
}

async function nodePart(
  folder: string,
  name: string,
  registry: string,
  joinToken: string,
  env: Readonly<Record<string, string>>,
): Promise<NodePart> {
  const dir = join(folder, 'nodes', name);
  await mkdir(dir, { recursive: true });
  const address = `127.0.0.1:${await freePort()}`;
  const main = join(ROOT, 'services', 'node', 'src', 'main.ts');
  const own = {
    ...env,
    FLEETWIRE_RPC_LISTEN: address,
    FLEETWIRE_LOG_LEVEL: 'debug',
    FLEETWIRE_NODE_NAME: name,
    FLEETWIRE_NODE_DATA_DIR: dir,
    FLEETWIRE_NODE_REGISTRY: registry,
    FLEETWIRE_NODE_JOIN_TOKEN: joinToken,
  };
  const part = processPart(folder, `node-${name}`, main, own, () =>
    checkHealth({ address, deadlineMs: 1000 }),
  );
  return { ...part, address, adminToken: () => readFileSync(join(dir, 'admin-token'), 'utf8').trim() };
}

function processPart(
  folder: string,
  name: string,
  main: string,
  env: Readonly<Record<string, string>>,
  ready: () => Promise<boolean>,
): Part {
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  const log = createWriteStream(join(folder, `${name}.log`), { flags: 'a' });
  const end = async (signal: NodeJS.Signals) => {
    if (child?.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
  };
  return {
    name,
    pid: () => child!.pid!,
    kill: () => end('SIGKILL'),
    start: async () => {
      const own = spawn(process.execPath, [main], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: childEnvironment(env),
      });
      child = own;
      own.stdout.pipe(log, { end: false });
      own.stderr.pipe(log, { end: false });
      gone = new Promise((resolve) => own.once('exit', () => resolve()));
      let exited = false;
      void gone.then(() => {
        exited = true;
      });
      await eventually(
        async () => {
          if (exited) return 'exited' as const;
          return (await ready().catch(() => false)) ? ('ready' as const) : undefined;
        },
        { timeoutMs: 60_000, everyMs: 50 },
      ).then((state) => {
        if (state === 'exited')
          throw new Error(
            `${name} ended at its start:\n${readFileSync(join(folder, `${name}.log`), 'utf8').slice(-2000)}`,
          );
      });
    },
    stop: () => end('SIGTERM'),
  };
}
