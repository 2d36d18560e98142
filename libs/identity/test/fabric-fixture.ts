/** A nats-server in operator mode with two orgs, and clients in it; for the tests of this package. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConsumerSpec, Subscribed } from '@fleetwire/contract';
import { nodeConsumer, partitionOf, streamSpecs } from '@fleetwire/contract';
import type { TestNats } from '@fleetwire/testkit';
import { fabricUser, operatorMode, startTestNats, tempFolder } from '@fleetwire/testkit';
import { jetstreamManager } from '@nats-io/jetstream';
import { Algorithms, encodeUser } from '@nats-io/jwt';
import { createUser, fromPublic, fromSeed } from '@nats-io/nkeys';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect, credsAuthenticator, jwtAuthenticator } from '@nats-io/transport-node';
import {
  accountIssuer,
  CLAIMS_UPDATE,
  createNodeKey,
  ensureKeys,
  keyFiles,
  loadOrgKeys,
  loadSecrets,
  mintNodeUser,
  mintSubscriberUser,
  nodeInboxPrefix,
  orgAccountJwt,
  serviceInboxPrefix,
  subscriberInboxPrefix,
} from '../src/index.ts';
import type { Trust } from '../src/trust.ts';

export const SERVICES = ['org', 'registry', 'router', 'delivery'] as const;

export interface FabricFixture extends AsyncDisposable {
  readonly nats: TestNats;
  readonly keysDir: string;
  readonly trust: Trust;
  /** Ids of the two orgs. */
  readonly orgs: readonly [string, string];
  /** As `router`, `bootstrap` or `sys`, with the rights of exactly that one. */
  service(name: string): Promise<NatsConnection>;
  /** The same, with what the server reports. */
  watched(name: string): Promise<NodeClient>;
  /** With every right in the fabric's account. */
  fabricUser(): Promise<NatsConnection>;
  /** `signedBy`: the org whose key signs its JWT; its own unless told. */
  node(org: string, node: string, o?: { lifetimeMs?: number; signedBy?: string }): Promise<NodeClient>;
  /** n_alice and n_bob of the first org, n_mallory of the second. */
  three(): Promise<Record<'alice' | 'bob' | 'mallory', NodeClient>>;
  /** A program that follows a stream of the org. */
  subscriber(org: string, what: Subscribed, name: string): Promise<NodeClient>;
  /** Somebody with every right in an org's account: only the account itself keeps him from the others. */
  unbounded(org: string): Promise<NodeClient>;
}

export interface NodeClient {
  readonly connection: NatsConnection;
  /** Errors that the server reported, as text. */
  readonly faults: string[];
}

export async function startFabric(binary?: string): Promise<FabricFixture> {
  await using cleanup = new AsyncDisposableStack();
  const folder = cleanup.use(tempFolder('keys'));
  const keysDir = join(folder.path, 'keys');
  await ensureKeys(keysDir, { orgSlug: 'one', services: SERVICES });
  const trust = await ensureKeys(keysDir, { orgSlug: 'two', services: SERVICES });
  const orgs = [trust.orgs[0]!.id, trust.orgs[1]!.id] as const;
  const nats = cleanup.use(await startTestNats({ binary, config: operatorMode(keysDir) }));
  const connections = cleanup.adopt([] as NatsConnection[], async (all) => {
    for (const one of all) await one.close();
  });
  const withCreds = async (file: string, inboxPrefix: string) => {
    const connection = await connect({
      servers: nats.url,
      authenticator: credsAuthenticator(readFileSync(file)),
      inboxPrefix,
      reconnect: false,
    });
    connections.push(connection);
    return connection;
  };
  const service = (name: string) => withCreds(keyFiles.natsCreds(keysDir, name), serviceInboxPrefix(name));
  const signing = (await loadOrgKeys(keysDir)).own;
  const node: FabricFixture['node'] = async (org, id, { lifetimeMs = 60_000, signedBy = org } = {}) => {
    const key = createNodeKey();
    const { jwt } = await mintNodeUser({
      signing: { ...signing.get(org)!, signingSeed: signing.get(signedBy)!.signingSeed },
      org,
      node: id,
      publicKey: key.publicKey,
      partition: partitionOf(org, id, 8),
      shard: 0,
      lifetimeMs,
    });
    const connection = await connect({
      servers: nats.url,
      authenticator: jwtAuthenticator(jwt, new TextEncoder().encode(key.seed)),
      inboxPrefix: nodeInboxPrefix(id),
      reconnect: false,
    });
    connections.push(connection);
    return { connection, faults: watchFaults(connection) };
  };
  const subscriber: FabricFixture['subscriber'] = async (org, what, name) => {
    const key = createNodeKey();
    const user = { signing: signing.get(org)!, org, what, name, publicKey: key.publicKey };
    const { jwt } = await mintSubscriberUser({ ...user, lifetimeMs: 60_000 });
    const connection = await connect({
      servers: nats.url,
      authenticator: jwtAuthenticator(jwt, new TextEncoder().encode(key.seed)),
      inboxPrefix: subscriberInboxPrefix(what, name),
      reconnect: false,
    });
    connections.push(connection);
    return { connection, faults: watchFaults(connection) };
  };
  const unbounded = async (org: string) => {
    const { account, signingSeed } = signing.get(org)!;
    const user = createUser();
    const signer = fromSeed(new TextEncoder().encode(signingSeed));
    const options = { algorithm: Algorithms.v2, signer };
    const jwt = await encodeUser('unbounded', user, fromPublic(account), {}, options);
    const authenticator = jwtAuthenticator(jwt, user.getSeed());
    const connection = await connect({ servers: nats.url, authenticator, reconnect: false });
    connections.push(connection);
    return { connection, faults: watchFaults(connection) };
  };
  await pushAccounts(await service('sys'), keysDir, trust);
  await makeStreams(await service('bootstrap'));
  const kept = cleanup.move();
  return {
    nats,
    keysDir,
    trust,
    orgs,
    service,
    watched: async (name) => {
      const connection = await service(name);
      return { connection, faults: watchFaults(connection) };
    },
    fabricUser: async () => withCreds(await fabricUser(keysDir), '_INBOX'),
    node,
    three: async () => {
      const [one, two] = orgs;
      const [alice, bob] = [await node(one, 'n_alice'), await node(one, 'n_bob')];
      return { alice, bob, mallory: await node(two, 'n_mallory') };
    },
    subscriber,
    unbounded,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function pushAccounts(sys: NatsConnection, keysDir: string, trust: Trust): Promise<void> {
  const issuer = accountIssuer(await loadSecrets(keysDir));
  const signing = (await loadOrgKeys(keysDir)).own;
  for (const { id } of trust.orgs)
    await sys.request(CLAIMS_UPDATE, await orgAccountJwt(issuer, { id, ...signing.get(id)! }));
}

async function makeStreams(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection);
  for (const spec of streamSpecs()) {
    const limits = {
      max_bytes: 64 * 1024 * 1024,
      ...(spec.name === 'INGRESS' ? { retention: 'limits' } : {}),
    };
    await manager.streams.add({ ...spec, ...limits } as Parameters<typeof manager.streams.add>[0]);
  }
}

/** Of the three. */
export async function makeNodeConsumers(
  connection: NatsConnection,
  [one, two]: FabricFixture['orgs'],
): Promise<void> {
  for (const node of ['n_alice', 'n_bob']) await makeConsumer(connection, nodeConsumer(0, one, node));
  await makeConsumer(connection, nodeConsumer(0, two, 'n_mallory'));
}

export async function makeConsumer(connection: NatsConnection, consumer: ConsumerSpec): Promise<void> {
  const manager = await jetstreamManager(connection);
  const { stream, ...spec } = consumer;
  await manager.consumers.add(stream, spec as Parameters<typeof manager.consumers.add>[1]);
}

function watchFaults(connection: NatsConnection): string[] {
  const faults: string[] = [];
  void (async () => {
    for await (const status of connection.status())
      if (status.type === 'error') faults.push(status.error.message);
  })();
  return faults;
}
