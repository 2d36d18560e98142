/** A bootstrapped fabric on real servers, on which replicas of org run. */

import { join } from 'node:path';
import { DEFAULT_SIZING } from '@fleetwire/contract';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { createTokenSigner, ensureKeys, loadFirstApiKey, type Trust } from '@fleetwire/identity';
import type { FleetwireError } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import { startOwnPostgres, startTestNats, startTestPostgres, tempFolder } from '@fleetwire/testkit';
import { start } from '../src/service.ts';

type Client = RpcClient<typeof OrgServiceDefinition>;
type Overrides = NonNullable<NonNullable<Parameters<typeof start>[0]>['overrides']>;

export interface OrgWorld extends AsyncDisposable {
  readonly trust: Trust;
  readonly keysDir: string;
  /** fwk_ of the owner. */
  readonly firstKey: string;
  readonly postgres: Awaited<ReturnType<typeof startOwnPostgres>> | undefined;
  /** One more replica. */
  start(settings?: Overrides['org']): Promise<RunningService>;
  client(service: RunningService, token?: () => string | Promise<string>): Client;
  /** With the token of an API key. */
  as(service: RunningService, apiKey: string): Promise<Client>;
  asService(service: RunningService, name: string): Promise<Client>;
}

/** A killed server must still have what it acknowledged. */
const DURABLE = { shared_buffers: '16MB' };

/** `ownPostgres`: a server that the test may kill. */
export async function startOrgWorld(o: { ownPostgres?: boolean } = {}): Promise<OrgWorld> {
  await using building = new AsyncDisposableStack();
  const folder = building.use(tempFolder('org'));
  const keysDir = join(folder.path, 'keys');
  const services = ['org', 'registry', 'router'];
  const trust = await ensureKeys(keysDir, { orgSlug: 'acme', ownerEmail: 'owner@acme.test', services });
  const nats = building.use(await startTestNats());
  const sizing = { ...DEFAULT_SIZING, ingress_max_bytes: 1e6, inbox_max_bytes: 1e6, receipts_max_bytes: 1e6 };
  await bootstrapFabric({ keysDir, natsUrls: [nats.url], singleTenant: true, sizing, partitions: 1 });
  const postgres = o.ownPostgres ? building.use(await startOwnPostgres(DURABLE)) : undefined;
  const database = postgres ?? building.use(await startTestPostgres());
  const closing = building.move();
  const client: OrgWorld['client'] = (service, token) => {
    const made = createRpcClient(OrgServiceDefinition, {
      address: service.address,
      ...(token ? { token } : {}),
    });
    closing.defer(() => made.close());
    return made;
  };
  return {
    trust,
    keysDir,
    firstKey: (await loadFirstApiKey(keysDir))!,
    postgres,
    start: async (settings = {}) => {
      const overrides: Overrides = {
        keys: { dir: keysDir },
        nats: { url: nats.url, single_tenant: true },
        database: { url: database.url, pool_max: 4 },
        common: { log_level: 'silent' },
        org: settings,
      };
      const service = await start({ env: {}, overrides });
      closing.defer(() => service.stop().catch(() => undefined));
      return service;
    },
    client,
    as: async (service, apiKey) => {
      const { token } = await client(service).exchangeKey({ apiKey });
      return client(service, () => token);
    },
    asService: async (service, name) => {
      const signer = await createTokenSigner(keysDir, name);
      return client(service, () => signer.serviceToken());
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** The reason that a call was refused with; `none` when it was not. */
export function reasonOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: FleetwireError) => error.reason,
  );
}
