/** A bootstrapped fabric in operator mode on real servers, on which replicas of org run, and people with their keys. */

import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { ORGS_BUCKET } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { createTokenSigner, ensureKeys, loadFirstApiKey, type Trust } from '@fleetwire/identity';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import { openStore, type Store } from '@fleetwire/store';
import {
  DURABLE,
  fabricUser,
  type OwnPostgres,
  operatorMode,
  reasonOf,
  SMALL_STREAMS,
  startOwnPostgres,
  startTestNats,
  startTestPostgres,
  type TestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { start } from '../src/service.ts';
import { OWN_SCHEMA } from './own-schema.ts';

export { errorOf, reasonOf } from '@fleetwire/testkit';

export type Client = RpcClient<typeof OrgServiceDefinition>;
export type Overrides = NonNullable<NonNullable<Parameters<typeof start>[0]>['overrides']>;
/** A replica in this process, or one of its own. */
type At = Pick<RunningService, 'address'>;

/**
 * What replicas are started with unless told: no test waits long for what they do from time to time, and each may have
 * several orgs on whatever server is installed.
 */
export const QUICK = { relay_interval_ms: 100, upkeep_interval_ms: 100, allow_unsafe_tenancy: true };

/** A member of an org, with a client that calls in their name. */
export interface Person {
  readonly user: string;
  readonly email: string;
  readonly apiKey: string;
  readonly client: Client;
}

export interface OrgWorld extends AsyncDisposable {
  readonly trust: Trust;
  readonly keysDir: string;
  /** fwk_ of the owner. */
  readonly firstKey: string;
  readonly nats: TestNats;
  readonly postgres: OwnPostgres | undefined;
  readonly databaseUrl: string;
  /** What every replica is started with, besides its own settings. */
  readonly overrides: Overrides;
  /** One more replica. */
  start(settings?: Overrides['org']): Promise<RunningService>;
  client(at: At, token?: () => string | Promise<string>): Client;
  /** With the token of an API key. */
  as(at: At, apiKey: string): Promise<Client>;
  asService(at: At, name: string): Promise<Client>;
  /** The fabric's operator. */
  operator(at: At): Promise<Client>;
  /** Invites, accepts, and exchanges the key. */
  join(service: RunningService, admin: Client, email: string, role?: 'admin' | 'member'): Promise<Person>;
  /** The owner of the first org. */
  owner(service: RunningService): Promise<Person>;
  /** A second org of another owner, made by the operator. */
  otherOrg(service: RunningService, name: string): Promise<{ readonly id: string; readonly owner: Person }>;
  /** Connected as org. */
  broker(): Promise<Broker>;
  /** What fw-orgs says of an org. */
  published(org: string): Promise<OrgState | undefined>;
  /** The tables, past the service. */
  store(): Promise<Store>;
}

/** `ownPostgres`: a server that the test may kill. */
export async function startOrgWorld(o: { ownPostgres?: boolean } = {}): Promise<OrgWorld> {
  await using building = new AsyncDisposableStack();
  const keysDir = join(building.use(tempFolder('org')).path, 'keys');
  const services = ['org', 'registry', 'router'];
  const trust = await ensureKeys(keysDir, { orgSlug: 'acme', ownerEmail: 'owner@acme.test', services });
  const nats = building.use(await startTestNats({ config: operatorMode(keysDir) }));
  await bootstrapFabric({ keysDir, natsUrls: [nats.url], sizing: SMALL_STREAMS, partitions: 1 });
  const postgres = o.ownPostgres ? building.use(await startOwnPostgres(DURABLE)) : undefined;
  const databaseUrl = postgres?.url ?? building.use(await startTestPostgres()).url;
  const firstKey = (await loadFirstApiKey(keysDir))!;
  const closing = building.move();

  const overrides: Overrides = {
    keys: { dir: keysDir },
    nats: { url: nats.url },
    database: { url: databaseUrl, pool_max: 8 },
    common: { log_level: 'silent' },
  };
  const client: OrgWorld['client'] = ({ address }, token) => {
    const options = { address, ...(token ? { token } : {}) };
    const made = createRpcClient(OrgServiceDefinition, options);
    closing.defer(() => made.close());
    return made;
  };
  const as: OrgWorld['as'] = async (at, apiKey) => {
    const { token } = await client(at).exchangeKey({ apiKey });
    return client(at, () => token);
  };
  const asService: OrgWorld['asService'] = async (at, name) => {
    const signer = await createTokenSigner(keysDir, name);
    return client(at, () => signer.serviceToken());
  };
  const person = async (service: RunningService, apiKey: string, email: string): Promise<Person> => {
    const { user, token } = await client(service).exchangeKey({ apiKey });
    return { user, email, apiKey, client: client(service, () => token) };
  };
  let broker: Promise<Broker> | undefined;
  const connect = () => {
    broker ??= fabricUser(keysDir).then(async (credsFile) => {
      const made = await connectBroker({ urls: [nats.url], name: 'test', credsFile });
      closing.defer(() => made.close());
      return made;
    });
    return broker;
  };
  return {
    trust,
    keysDir,
    firstKey,
    nats,
    postgres,
    databaseUrl,
    overrides,
    start: async (settings = {}) => {
      const service = await start({ env: {}, overrides: { ...overrides, org: { ...QUICK, ...settings } } });
      closing.defer(() => service.stop().catch(() => undefined));
      return service;
    },
    client,
    as,
    asService,
    operator: (at) => asService(at, 'operator'),
    join: async (service, admin, email, role = 'member') => {
      const { url } = await admin.createInvite({ email, role });
      const { apiKey } = await client(service).acceptInvite({ secret: secretOf(url), email });
      return person(service, apiKey, email);
    },
    owner: (service) => person(service, firstKey, 'owner@acme.test'),
    otherOrg: async (service, name) => {
      const ownerEmail = `owner@${name}.test`;
      const operator = await asService(service, 'operator');
      const { org, secret } = await operator.createOrg({ name, ownerEmail });
      return { id: org!.id, owner: await person(service, secret, ownerEmail) };
    },
    broker: connect,
    published: async (org) => {
      const entry = await (await (await connect()).bucket(ORGS_BUCKET)).get(org);
      return entry === undefined ? undefined : OrgState.decode(entry.value);
    },
    store: async () => {
      const store = await openStore({ ...OWN_SCHEMA, url: databaseUrl });
      closing.defer(() => store.close());
      return store;
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** How often each outcome came, `none` for success. */
export async function outcomes(calls: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const reason of await Promise.all(calls.map(reasonOf))) counted[reason] = (counted[reason] ?? 0) + 1;
  return counted;
}

/** What the audit says was refused to somebody, oldest first. */
export async function deniedTo(client: Client, actor: string): Promise<string[]> {
  const { entries } = await client.listAudit({ filter: { actor, decision: 'denied' } });
  return entries.map((entry) => `${entry.action} ${entry.reason}`).reverse();
}

/** Of an invite, from its link. */
export const secretOf = (url: string): string => url.split('/').at(-1)!;
