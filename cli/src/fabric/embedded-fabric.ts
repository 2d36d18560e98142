/** The whole fabric in this process: servers, the four services, the hub's own node. */

import { join } from 'node:path';
import { start as startDelivery } from '@fleetwire/delivery';
import { lockFolder } from '@fleetwire/embedded';
import { ensureKeys, loadTrust } from '@fleetwire/identity';
import { start as startOrg } from '@fleetwire/org';
import { start as startRegistry } from '@fleetwire/registry';
import { start as startRouter } from '@fleetwire/router';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import type { CliConfig } from '../config.ts';
import { type Context, saveContext } from '../context.ts';
import { keysFolderOf } from '../operator.ts';
import { stopped } from './background.ts';
import {
  checkPorts,
  choosePorts,
  type FabricPorts,
  fabricFolder,
  readFabric,
  thisProcess,
  writeFabric,
} from './fabric-record.ts';
import { startHubNode } from './hub-node.ts';
import { type KeptService, keepService } from './keep-service.ts';
import { type LogFile, openLogFile } from './log-file.ts';
import { isSingleTenant, type Servers, startServers } from './servers.ts';

export interface EmbeddedFabric {
  readonly context: Context;
  readonly servers: Servers;
  readonly services: readonly KeptService[];
  /** Ends everything in reverse; what is in flight is finished first. Rejects with the first fault, after all of it. */
  stop(): Promise<void>;
}

const SERVICES = ['org', 'registry', 'router', 'delivery'] as const;

interface Start {
  readonly config: CliConfig;
  readonly ports: FabricPorts;
  readonly keys: string;
  readonly servers: Servers;
  readonly logs: LogFile;
  /** Tells people what happens. */
  readonly report: (line: string) => void;
  /** Ends what was started, last first. */
  readonly stops: (() => Promise<void>)[];
  /** Throws `cancelled` STOPPED when a signal came meanwhile. */
  readonly goOn: () => void;
}

/**
 * Starts, or starts again, the fabric of this data folder. Ready when it resolves. Once `leaving` aborts, what was
 * started is ended and it rejects with `cancelled` STOPPED. Errors: PORT_IN_USE and those of its parts.
 */
export async function startEmbeddedFabric(
  config: CliConfig,
  contextName: string,
  report: (line: string) => void,
  leaving: AbortSignal,
): Promise<EmbeddedFabric> {
  const { data, state } = config.folders;
  const lock = await lockFolder(fabricFolder(data));
  for (const { name, pid } of lock.endedOrphans)
    report(`ended ${name} (process ${pid}) of a run that crashed`);
  const stops: (() => Promise<void>)[] = [() => lock.release()];
  const goOn = () => {
    if (leaving.aborted) throw stopped();
  };
  try {
    const ports = await choosePorts((await readFabric(data))?.ports);
    await writeFabric(data, { ports });
    await checkPorts(data, ports, (part) => listenHost(config, part));
    const logs = openLogFile(join(state, 'fabric.log'));
    stops.push(logs.close);
    const keys = keysFolderOf(config);
    await ensureKeys(keys, { services: [...SERVICES] });
    const servers = await startServers(config, ports, keys, report);
    stops.push(servers.stop);
    goOn();
    const single_tenant = isSingleTenant(config);
    const natsUrls = servers.natsUrl.split(',').map((url) => url.trim());
    const { servers: found } = await bootstrapFabric({
      keysDir: keys,
      natsUrls,
      singleTenant: single_tenant,
      partitions: config.up.partitions,
    });
    const one_org = found?.acks_apart === false ? { one_org_nats: found.version } : {};
    report('starting the services');
    const start: Start = { config, ports, keys, servers, logs, report, stops, goOn };
    const services = await startServices(start);
    const context = await contextOf(contextName, services, keys);
    const hub = { config, listen: `${config.up.host}:${ports.hub}`, logStream: logs, report };
    services.push(await startHubNode({ ...hub, keep: (make) => keep(start, make) }, context));
    await saveContext(config.folders.config, context);
    goOn();
    const ready = thisProcess();
    await writeFabric(data, { ports, about: servers.about, single_tenant, ...one_org, ready });
    return { context, servers, services, stop: () => endAll(stops) };
  } catch (error) {
    await endAll(stops).catch(() => undefined);
    throw error;
  }
}

/** Undefined: not on this machine, or not ours. */
function listenHost(config: CliConfig, part: keyof FabricPorts): string | undefined {
  if (part === 'postgres') return config.outsideDatabase === undefined ? '127.0.0.1' : undefined;
  if (part === 'nats' && config.outsideNats !== undefined) return undefined;
  return config.up.host;
}

/** One that fails keeps none of the others from ending. */
async function endAll(stops: (() => Promise<void>)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const end of stops.splice(0).reverse()) await end().catch((error: unknown) => faults.push(error));
  if (faults.length > 0) throw faults[0];
}

async function startServices(o: Start): Promise<KeptService[]> {
  const { config, ports, keys, servers, logs } = o;
  const shared = (name: (typeof SERVICES)[number]) => ({
    nats: { url: servers.natsUrl, single_tenant: isSingleTenant(config) },
    database: { url: servers.databaseUrl },
    keys: { dir: keys },
    rpc: { listen: `${config.up.host}:${ports[name]}` },
  });
  const running: KeptService[] = [];
  const add = async (start: () => Promise<RunningService>) => {
    const service = await keep(o, start);
    running.push(service);
    return service.address;
  };
  const logStream = logs;
  const at = (part: keyof FabricPorts) => `${config.up.host}:${ports[part]}`;
  const org = {
    http_listen: at('web'),
    registry_address: at('registry'),
    router_address: at('router'),
    delivery_address: at('delivery'),
  };
  const org_address = await add(() => startOrg({ overrides: { ...shared('org'), org }, logStream }));
  const registry_address = await add(() =>
    startRegistry({ overrides: { ...shared('registry'), registry: { org_address } }, logStream }),
  );
  await add(() =>
    startRouter({ overrides: { ...shared('router'), router: { registry_address } }, logStream }),
  );
  await add(() =>
    startDelivery({ overrides: { ...shared('delivery'), delivery: { registry_address } }, logStream }),
  );
  return running;
}

async function keep(o: Start, start: () => Promise<RunningService>): Promise<KeptService> {
  o.goOn();
  const service = await keepService(start, o.report);
  o.stops.push(service.stop);
  return service;
}

async function contextOf(name: string, services: readonly KeptService[], keys: string): Promise<Context> {
  const trust = await loadTrust(keys);
  const address = (service: string) => services.find((s) => s.name === service)!.address;
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
