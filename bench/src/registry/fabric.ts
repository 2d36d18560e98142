/** A fabric for the benchmark of the registry: servers, org, two registries and two routers, each a process of its own. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startPostgres } from '@fleetwire/embedded';
import { ensureKeys } from '@fleetwire/identity';
import { bootstrapFabric } from '@fleetwire/runtime';
import {
  type FirstAdmin,
  fabricUser,
  firstAdmin,
  operatorMode,
  type ServiceProcess,
  serviceProcess,
  startTestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { NODE_FLAGS } from '../fabric.ts';

/** What one node may send is bounded to hold up nobody else; the question here is what the registry can answer. */
const NO_SHARES = {
  FLEETWIRE_REGISTRY_HEARTBEATS_BURST: '10000',
  FLEETWIRE_REGISTRY_HEARTBEATS_EVERY_MS: '1',
};

export interface RegistryFabric extends FirstAdmin {
  readonly natsUrl: string;
  /** Credentials of a user in the fabric's account who may do everything there. */
  readonly creds: string;
  readonly registries: readonly [ServiceProcess, ServiceProcess];
  /** The second asks no registry: what it knows, its table has. */
  readonly routers: readonly [ServiceProcess, ServiceProcess];
  readonly roles: ReadonlyMap<number, string>;
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
    const nats = await startTestNats({ config: operatorMode(keys) });
    open.push({ stop: async () => nats[Symbol.asyncDispose]() });
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
    const add = async (service: string, name: string, more: Record<string, string> = {}) => {
      const main = fileURLToPath(new URL(`../../../services/${service}/src/main.ts`, import.meta.url));
      const own = { ...env, ...more, FLEETWIRE_INSTANCE: name };
      const replica = await serviceProcess({ name, main, env: own, flags: NODE_FLAGS, dir: folder.path });
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
    return {
      natsUrl: nats.url,
      creds: await fabricUser(keys),
      registries: registries as [ServiceProcess, ServiceProcess],
      routers: routers as [ServiceProcess, ServiceProcess],
      get roles() {
        const replicas = [org, ...registries, ...routers].map((r) => [r.pid(), r.name] as const);
        return new Map([...replicas, [nats.server.pid, 'nats-server'], [postgres.pid, 'postgres']]);
      },
      ...firstAdmin(org.address, keys),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
