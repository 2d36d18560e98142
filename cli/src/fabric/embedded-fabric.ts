/** The whole fabric in this process: servers, the four services, the hub's own node. */

import { createWriteStream, mkdirSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { start as startDelivery } from '@fleetwire/delivery';
import { lockFolder } from '@fleetwire/embedded';
import { ensureKeys, loadTrust } from '@fleetwire/identity';
import { start as startNode } from '@fleetwire/node';
import { start as startOrg } from '@fleetwire/org';
import { start as startRegistry } from '@fleetwire/registry';
import { start as startRouter } from '@fleetwire/router';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import type { CliConfig } from '../config.ts';
import { type Context, saveContext } from '../context.ts';
import { connectHub } from '../hub.ts';
import { connectNode, findLocalNode, HUB_NODE, nodeFolder, OPERATOR } from '../local-nodes.ts';
import { choosePorts, type FabricPorts, fabricFolder, readFabric, writeFabric } from './fabric-record.ts';
import { type Servers, startServers } from './servers.ts';

export interface EmbeddedFabric {
  readonly context: Context;
  readonly servers: Servers;
  readonly services: readonly RunningService[];
  /** Ends everything in reverse; what is in flight is finished first. */
  stop(): Promise<void>;
}

const SERVICES = ['org', 'registry', 'router', 'delivery'] as const;

/** Starts, or starts again, the fabric of this data folder. Ready when it resolves. Errors: those of its parts. */
export async function startEmbeddedFabric(
  config: CliConfig,
  contextName: string,
  report: (line: string) => void,
): Promise<EmbeddedFabric> {
  const folder = fabricFolder(config.folders.data);
  const lock = await lockFolder(folder);
  const stops: (() => Promise<void>)[] = [() => lock.release()];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const earlier = await readFabric(config.folders.data);
    const ports = earlier?.ports ?? (await choosePorts());
    await writeFabric(config.folders.data, { ports });
    const logs = openLogs(join(config.folders.state, 'fabric.log'), stops);
    const keys = config.keys.dir ?? join(folder, 'keys');
    await ensureKeys(keys, { services: [...SERVICES] });
    report('starting PostgreSQL and nats-server');
    const servers = await startServers(config, ports, keys, report);
    stops.push(servers.stop);
    await bootstrapFabric({
      keysDir: keys,
      natsUrls: servers.natsUrl.split(','),
      singleTenant: config.nats.single_tenant,
    });
    report('starting the services');
    const start: Start = { config, ports, keys, servers, logs, stops };
    const services = await startServices(start);
    const context = await contextOf(contextName, services, keys);
    await startHubNode(start, context, services);
    await saveContext(config.folders.config, context);
    await writeFabric(config.folders.data, { ports, ready_pid: process.pid });
    return { context, servers, services, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Start {
  readonly config: CliConfig;
  readonly ports: FabricPorts;
  readonly keys: string;
  readonly servers: Servers;
  readonly logs: { write(line: string): void };
  readonly stops: (() => Promise<void>)[];
}

/** One file for the log lines of all services, appended to. */
function openLogs(file: string, stops: (() => Promise<void>)[]): { write(line: string): void } {
  mkdirSync(dirname(file), { recursive: true });
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  stops.push(() => new Promise((resolve) => stream.end(() => resolve())));
  return { write: (line) => void stream.write(line) };
}

async function startServices({
  config,
  ports,
  keys,
  servers,
  logs,
  stops,
}: Start): Promise<RunningService[]> {
  const shared = (name: (typeof SERVICES)[number]) => ({
    nats: { url: servers.natsUrl },
    database: { url: servers.databaseUrl },
    keys: { dir: keys },
    rpc: { listen: `${config.up.host}:${ports[name]}` },
  });
  const running: RunningService[] = [];
  const add = async (starting: Promise<RunningService>) => {
    const service = await starting;
    running.push(service);
    stops.push(() => service.stop());
    return service;
  };
  const logStream = logs;
  const org = await add(startOrg({ overrides: shared('org'), logStream }));
  const registry = await add(
    startRegistry({
      overrides: { ...shared('registry'), registry: { org_address: org.address } },
      logStream,
    }),
  );
  const router = { registry_address: registry.address };
  await add(startRouter({ overrides: { ...shared('router'), router }, logStream }));
  await add(startDelivery({ overrides: shared('delivery'), logStream }));
  return running;
}

async function contextOf(name: string, services: readonly RunningService[], keys: string): Promise<Context> {
  const trust = await loadTrust(keys);
  const address = (service: string) => services.find((s) => s.name === service)!.address!;
  return {
    version: 1,
    name,
    org: trust.orgs[0]!.id,
    endpoints: {
      org: address('org'),
      registry: address('registry'),
      router: address('router'),
      delivery: address('delivery'),
    },
    api_key_file: join(keys, 'first-api-key'),
  };
}

/** The hub's own node, with the operator's mailbox on it. */
async function startHubNode(start: Start, context: Context, services: RunningService[]): Promise<void> {
  const { config, ports, logs, stops } = start;
  const dir = nodeFolder(config.folders.data, HUB_NODE);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const service = await startNode({
    overrides: {
      rpc: { listen: `${config.up.host}:${ports.hub}` },
      node: {
        name: HUB_NODE,
        data_dir: dir,
        registry: context.endpoints.registry,
        ...(await joinTokenIfNew(dir, context)),
      },
    },
    logStream: logs,
  });
  services.push(service);
  stops.push(() => service.stop());
  const client = connectNode(await findLocalNode(config.folders.data, HUB_NODE));
  try {
    await client.runAgent({ name: OPERATOR, adapter: 'mailbox', command: [], cwd: '', env: {} });
  } finally {
    client.close();
  }
}

/** A token is asked for only when this folder has not joined yet. */
export async function joinTokenIfNew(
  dir: string,
  context: Context,
  apiKey?: string,
): Promise<{ join_token?: string }> {
  const joined = await stat(join(dir, 'identity.json')).then(
    () => true,
    () => false,
  );
  if (joined) return {};
  const hub = connectHub(context, apiKey);
  try {
    return { join_token: (await hub.org.createJoinToken({ ttlS: 600 })).joinToken };
  } finally {
    hub.close();
  }
}
