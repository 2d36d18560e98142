/** A bootstrapped fabric in operator mode, a stand-in for org, replicas of the registry, and nodes that join. */

import { join } from 'node:path';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { filters, heartbeatSubject, ORGS_BUCKET, ROUTES_BUCKET, routeKey } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { ChannelRoute, Heartbeat, HeartbeatReply, NodeRoute, Route } from '@fleetwire/gen/message';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import {
  type Agent,
  type HelloRequest,
  type HelloResponse,
  RegistryServiceDefinition,
} from '@fleetwire/gen/registry';
import {
  createNodeKey,
  createTokenSigner,
  ensureKeys,
  nodeHelloBytes,
  nodeInboxPrefix,
  signWithNodeKey,
} from '@fleetwire/identity';
import { FleetwireError, newId } from '@fleetwire/kernel';
import { bindService, createRpcClient, type RpcClient, startRpcServer } from '@fleetwire/rpc';
import { bootstrapFabric, type RunningService } from '@fleetwire/runtime';
import { openStore, type Store } from '@fleetwire/store';
import {
  DURABLE,
  fabricUser,
  type OwnPostgres,
  operatorMode,
  SMALL_STREAMS,
  startOwnPostgres,
  startTestNats,
  startTestPostgres,
  type TestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { start } from '../src/service.ts';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';

export { errorOf, reasonOf } from '@fleetwire/testkit';

export type RegistryClient = RpcClient<typeof RegistryServiceDefinition>;
type Overrides = NonNullable<NonNullable<Parameters<typeof start>[0]>['overrides']>;

/** How tests open the tables of the registry, past the service: all but the url. */
export const OWN_SCHEMA = { schema: 'registry', entities, migrations, poolMax: 2, applicationName: 'test' };

export interface TestNode {
  readonly id: string;
  readonly name: string;
  readonly seed: string;
  readonly publicKey: string;
  readonly welcome: HelloResponse;
  /** With the node's token. */
  readonly client: RegistryClient;
}

export interface RegistryWorld extends AsyncDisposable {
  /** Two orgs. */
  readonly orgs: readonly [string, string];
  readonly org: OrgStandIn;
  readonly nats: TestNats;
  readonly postgres: OwnPostgres | undefined;
  readonly databaseUrl: string;
  readonly keysDir: string;
  /** Where the stand-in for org answers. */
  readonly orgAddress: string;
  start(settings?: Overrides['registry']): Promise<RunningService>;
  client(service: RunningService, token?: string): RegistryClient;
  /** Of the first org unless told. */
  asUser(service: RunningService, scopes: string[], org?: string, key?: string): Promise<RegistryClient>;
  asService(service: RunningService, name: string): Promise<RegistryClient>;
  node(service: RunningService, name: string, org?: string): Promise<TestNode>;
  /** The state of an org, as org would write it; active unless told. */
  publish(state: Partial<OrgState> & { readonly org: string; readonly version: number }): Promise<void>;
  /** Another org. */
  freshOrg(): string;
  /** What PostgreSQL has of an org. */
  rows(org: string): Promise<{ nodes: number; agents: number }>;
  /** Connected as the router, which may read everything. */
  broker(): Promise<Broker>;
  /** What was told of a node as events since the first call, in order. */
  events(target: string): Promise<readonly Event[]>;
  /** What the routing table says of a node. */
  nodeRoute(org: string, node: string): Promise<NodeRoute | undefined>;
  /** What it says of an agent; of the first org unless told. */
  route(agent: string, org?: string): Promise<Route | undefined>;
  /** What it says of a channel or group of the first org. */
  channelRoute(channel: string): Promise<ChannelRoute | undefined>;
  /** The tables of the registry, past the service. */
  store(): Promise<Store>;
  /** A statement in them. */
  sql<T extends object>(text: string, params?: readonly unknown[]): Promise<T[]>;
  /** Connected with the node's own credentials. */
  nodeBroker(node: TestNode, jwt?: string, waitMs?: number): Promise<Broker>;
}

export interface RegistryWorldOptions {
  readonly ownPostgres?: boolean;
  /** A server without accounts. */
  readonly singleTenant?: boolean;
}

export async function startRegistryWorld(o: RegistryWorldOptions = {}): Promise<RegistryWorld> {
  const { singleTenant = false } = o;
  await using building = new AsyncDisposableStack();
  const keysDir = join(building.use(tempFolder('registry')).path, 'keys');
  const services = ['org', 'registry', 'router'];
  await ensureKeys(keysDir, { orgSlug: 'acme', services });
  const trust = await ensureKeys(keysDir, { orgSlug: 'other', services });
  const orgs = trust.orgs.map((org) => org.id) as [string, string];
  const nats = building.use(await startTestNats(singleTenant ? {} : { config: operatorMode(keysDir) }));
  await bootstrapFabric({
    keysDir,
    singleTenant,
    natsUrls: [nats.url],
    sizing: SMALL_STREAMS,
    partitions: 4,
  });
  const postgres = o.ownPostgres ? building.use(await startOwnPostgres(DURABLE)) : undefined;
  const databaseUrl = postgres?.url ?? building.use(await startTestPostgres()).url;
  const standIn = new OrgStandIn(orgs);
  const org = await standIn.start();
  building.defer(() => org.close());
  const signer = await createTokenSigner(keysDir, 'org');
  const closing = building.move();
  let writer: Promise<Broker> | undefined;
  let opened: Promise<Store> | undefined;
  let reader: Promise<Broker> | undefined;
  let heard: Event[] | undefined;
  const open = async () => {
    const store = await openStore({ ...OWN_SCHEMA, url: databaseUrl });
    closing.defer(() => store.close());
    return store;
  };
  const store = () => {
    opened ??= open();
    return opened;
  };

  const client: RegistryWorld['client'] = (service, token) => {
    const options = { address: service.address, ...(token === undefined ? {} : { token: () => token }) };
    const made = createRpcClient(RegistryServiceDefinition, options);
    closing.defer(() => made.close());
    return made;
  };
  const connect = async (options: Omit<Parameters<typeof connectBroker>[0], 'urls' | 'name'>) => {
    const broker = await connectBroker({ urls: [nats.url], name: 'test', ...options });
    closing.defer(() => broker.close());
    return broker;
  };
  const broker = async () => connect(singleTenant ? {} : { credsFile: await fabricUser(keysDir) });
  const entryOf = async <T>(type: { decode(bytes: Uint8Array): T }, org: string, id: string) => {
    reader ??= broker();
    const entry = await (await (await reader).bucket(ROUTES_BUCKET)).get(routeKey(org, id));
    return entry && type.decode(entry.value);
  };
  return {
    orgs,
    org: standIn,
    nats,
    postgres,
    databaseUrl,
    keysDir,
    orgAddress: org.address,
    client,
    start: async (settings = {}) => {
      const overrides: Overrides = {
        keys: { dir: keysDir },
        nats: { url: nats.url, single_tenant: singleTenant },
        database: { url: databaseUrl, pool_max: 6 },
        common: { log_level: 'silent' },
        registry: { org_address: org.address, sweep_ms: 200, flush_ms: 100, ...settings },
      };
      const service = await start({ env: {}, overrides });
      closing.defer(() => service.stop().catch(() => undefined));
      return service;
    },
    asUser: async (service, scopes, org = orgs[0], key = 'k_test') => {
      const { token } = await signer.sign({ sub: 'u_test', org, key, scopes, lifetimeMs: 3_600_000 });
      return client(service, token);
    },
    asService: async (service, name) =>
      client(service, await (await createTokenSigner(keysDir, name)).serviceToken()),
    node: (service, name, org = orgs[0]) => joinAndGreet(client, service, name, org),
    broker,
    freshOrg: () => standIn.add(newId('org')),
    events: async (target) => {
      if (heard === undefined) {
        const all: Event[] = [];
        heard = all;
        reader ??= broker();
        (await reader).subscribe(filters.allEvents, ({ data }) => void all.push(Event.decode(data)));
      }
      return heard.filter((event) => event.target === target);
    },
    nodeRoute: (org, node) => entryOf(NodeRoute, org, node),
    route: (agent, org = orgs[0]) => entryOf(Route, org, agent),
    channelRoute: (channel) => entryOf(ChannelRoute, orgs[0], channel),
    store,
    sql: async (text, params) => (await store()).query(text, params),
    rows: async (org) => {
      const [row] = await (await store()).query<{ nodes: number; agents: number }>(
        `select (select count(*)::int from nodes where org = $1) as nodes,
           (select count(*)::int from agents where org = $1) as agents`,
        [org],
      );
      return row!;
    },
    publish: async (state) => {
      writer ??= broker();
      const bucket = await (await writer).bucket(ORGS_BUCKET);
      await bucket.put(state.org, encode(OrgState, OrgState.fromPartial({ status: 'active', ...state })));
    },
    nodeBroker: (node, jwt = node.welcome.userJwt, waitMs = 10_000) =>
      connect({
        waitMs,
        credentials: () => ({ jwt, seed: new TextEncoder().encode(node.seed) }),
        inboxPrefix: nodeInboxPrefix(node.id),
      }),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Takes the id of an org as join token, and remembers which clearings were confirmed. */
export class OrgStandIn {
  /** `<org> <deletion>`, in the order of the calls. */
  readonly confirmed: string[] = [];
  /** Called before a confirmation is taken; what it throws is the answer. */
  confirming: () => void = () => undefined;
  /** Whose join tokens they are. */
  owner = 'u_owner';
  /** What it says of an API key; undefined: revoked. What it throws is the answer. */
  unrevoked: (key: string) => { user: string; scopes: string[] } | undefined = () => ({
    user: 'u_test',
    scopes: ['admin', 'read'],
  });
  readonly #orgs: string[];

  constructor(orgs: readonly string[]) {
    this.#orgs = [...orgs];
  }

  add(org: string): string {
    this.#orgs.push(org);
    return org;
  }

  start() {
    const absent = async (): Promise<never> => {
      throw new FleetwireError('unimplemented', 'NOT_HERE', 'not in this stand-in');
    };
    const methods = Object.keys(OrgServiceDefinition.methods).map((name) => [name, absent]);
    const handlers = {
      ...Object.fromEntries(methods),
      redeemJoinToken: async ({ joinToken }: { joinToken: string }) => {
        if (this.#orgs.includes(joinToken)) return { org: joinToken, user: this.owner };
        throw new FleetwireError('unauthenticated', 'JOIN_TOKEN_INVALID', 'this join token is not known');
      },
      listUnrevokedKeys: async ({ keys }: { keys: string[] }) => {
        const known = keys.map((id) => ({ id, ...this.unrevoked(id) }));
        return { keys: known.filter(({ user }) => user !== undefined) };
      },
      confirmCleared: async ({ org, deletion }: { org: string; deletion: number }) => {
        this.confirming();
        this.confirmed.push(`${org} ${deletion}`);
        return {};
      },
    };
    const service = bindService(OrgServiceDefinition, handlers as never, { auth: 'none' });
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    return startRpcServer({ listen: '127.0.0.1:0', services: [service], log });
  }
}

async function joinAndGreet(
  client: RegistryWorld['client'],
  service: RunningService,
  name: string,
  org: string,
): Promise<TestNode> {
  const key = createNodeKey();
  const anonymous = client(service);
  const { node: id } = await anonymous.join({ joinToken: org, nodeName: name, publicKey: key.publicKey });
  const welcome = await greet(anonymous, id, key.seed);
  return { id, name, ...key, welcome, client: client(service, welcome.nodeToken) };
}

/** An agent of the node. */
export async function registered(node: TestNode, name: string): Promise<Agent> {
  return (await node.client.registerAgent({ name, adapter: 'stream' })).agent!;
}

/** All that is listed in pages: `items` of each, until there is no next one. */
export async function allPages<P extends { nextPageToken: string }, T>(
  page: (pageToken: string) => Promise<P>,
  items: (page: P) => readonly T[],
): Promise<T[]> {
  const all: T[] = [];
  let pageToken = '';
  do {
    const next = await page(pageToken);
    all.push(...items(next));
    pageToken = next.nextPageToken;
  } while (pageToken !== '');
  return all;
}

/** A heartbeat of the node, with its own credentials. */
export async function beat(
  world: RegistryWorld,
  node: TestNode,
  credentialsLeftS = 86_400,
): Promise<HeartbeatReply> {
  const broker = await world.nodeBroker(node);
  const subject = heartbeatSubject.build({ org: node.welcome.org, node: node.id });
  const said = Heartbeat.fromPartial({ node: node.id, version: '0.1.0', credentialsLeftS });
  const payload = Heartbeat.encode(said).finish();
  try {
    return HeartbeatReply.decode(await broker.request(subject, payload, 10_000));
  } finally {
    await broker.close();
  }
}

export async function greet(
  client: RegistryClient,
  node: string,
  seed: string,
  changed: { nonce?: Uint8Array; signature?: Uint8Array; protocol?: string } = {},
): Promise<HelloResponse> {
  const { nonce } = changed.nonce ? { nonce: changed.nonce } : await client.challenge({ node });
  const signature = signWithNodeKey(seed, nonce);
  return client.hello({
    node,
    nonce,
    signature,
    protocol: '1',
    version: '0.1.0',
    platform: 'linux-x64',
    ...changed,
  });
}

/** HELLO of protocol 2, of the process `instance` on `machine`. */
export async function greetAs(
  client: RegistryClient,
  node: Pick<TestNode, 'id' | 'seed'>,
  changed: Partial<HelloRequest> & { readonly nonce?: Uint8Array } = {},
): Promise<HelloResponse> {
  const nonce = changed.nonce ?? (await client.challenge({ node: node.id })).nonce;
  const said = {
    node: node.id,
    nonce,
    protocol: '2',
    protocols: [1, 2],
    version: '0.2.0',
    platform: 'linux-x64',
    challenge: new Uint8Array(32).fill(7),
    instance: 'i-1',
    machine: 'm-1',
    host: 'desk',
    facts: undefined,
    rosterDigest: 0,
    ...changed,
  };
  return client.hello({ signature: signWithNodeKey(node.seed, nodeHelloBytes(said)), ...said });
}

/** A heartbeat of protocol 2 over a connection of the node's own. */
export async function beatAs(
  broker: Broker,
  node: Pick<TestNode, 'id'>,
  org: string,
  said: Partial<Heartbeat> = {},
): Promise<HeartbeatReply> {
  const subject = heartbeatSubject.build({ org, node: node.id });
  const beat = { node: node.id, version: '0.2.0', credentialsLeftS: 86_400, instance: 'i-1', protocol: 2 };
  const payload = Heartbeat.encode(Heartbeat.fromPartial({ ...beat, ...said })).finish();
  return HeartbeatReply.decode(await broker.request(subject, payload, 10_000));
}
