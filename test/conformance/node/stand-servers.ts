/** A nats-server in operator mode for a hub that is played: one account with JetStream, users for the hub and its nodes. */

import { startTestNats } from '@fleetwire/testkit';
import { Algorithms, encodeAccount, encodeOperator, encodeUser } from '@nats-io/jwt';
import type { NatsConnection } from '@nats-io/nats-core';
import { createAccount, createOperator, createUser, fromPublic } from '@nats-io/nkeys';
import { api, open } from '../wire/nats.ts';

export interface StandServers extends AsyncDisposable {
  readonly url: string;
  /** With all rights in the account. */
  readonly nc: NatsConnection;
  /** Connections that came and went, by the servers' word, in order. */
  readonly links: readonly Link[];
  /** Credentials of a node: its subjects and no other. */
  mint(user: NodeUser): Promise<string>;
}

export interface Link {
  readonly what: 'connect' | 'disconnect';
  readonly name: string;
  /** Public key of the user. */
  readonly key: string;
  readonly jwt: string;
}

export interface NodeUser {
  readonly org: string;
  readonly node: string;
  readonly publicKey: string;
  readonly expiresAtMs: number;
}

const V2 = { algorithm: Algorithms.v2 };
const ALL = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
const DISK = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

export async function startStandServers(): Promise<StandServers> {
  const [operator, system, account] = [createOperator(), createAccount(), createAccount()];
  const [systemId, accountId] = [system.getPublicKey(), account.getPublicKey()];
  const operatorJwt = await encodeOperator('STAND', operator, { system_account: systemId }, V2);
  const systemJwt = await encodeAccount('SYS', system, { limits: { ...ALL } }, { ...V2, signer: operator });
  const limits = { ...ALL, ...DISK };
  const accountJwt = await encodeAccount('STAND', account, { limits }, { ...V2, signer: operator });
  const nats = await startTestNats({
    config: ({ dir, port }) =>
      [
        'host: 127.0.0.1',
        `port: ${port}`,
        'max_payload: 2097152',
        `jetstream { store_dir: ${JSON.stringify(`${dir}/jetstream`)} }`,
        `operator: ${operatorJwt}`,
        `system_account: ${systemId}`,
        'resolver: MEMORY',
        `resolver_preload { ${systemId}: ${systemJwt}, ${accountId}: ${accountJwt} }`,
        '',
      ].join('\n'),
  });
  const user = async (name: string, issuer: typeof account) => {
    const pair = createUser();
    const key = { publicKey: pair.getPublicKey(), seed: pair.getSeed(), sign: pair.sign.bind(pair) };
    return open({ url: nats.url, jwt: await encodeUser(name, pair, issuer, {}, V2), key });
  };
  const nc = await user('hub', account);
  const sys = await user('sys', system);
  const links: Link[] = [];
  for (const what of ['connect', 'disconnect'] as const)
    sys.subscribe(`$SYS.ACCOUNT.${accountId}.${what.toUpperCase()}`, {
      callback: (_error, message) => {
        const { client } = message.json<{ client: { name?: string; user?: string; jwt?: string } }>();
        links.push({ what, name: client.name ?? '', key: client.user ?? '', jwt: client.jwt ?? '' });
      },
    });
  await sys.flush();
  return {
    url: nats.url,
    nc,
    links,
    mint: ({ org, node, publicKey, expiresAtMs }) => {
      const allow = permissions(org, node);
      const exp = Math.floor(expiresAtMs / 1000);
      const claims = { pub: { allow: allow.publish }, sub: { allow: allow.subscribe } };
      return encodeUser(node, fromPublic(publicKey), account, claims, { ...V2, exp });
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([nc.close(), sys.close()]);
      await nats[Symbol.asyncDispose]();
    },
  };
}

function permissions(org: string, node: string) {
  return {
    publish: [
      `fw.v1.ingress.0.${org}.${node}`,
      `fw.v1.receipt.${org}.*.${node}`,
      `fw.v1.heartbeat.${org}.${node}`,
      `fw.v1.dead.${org}.*.${node}`,
      `fw.v1.peer.${org}.*.${node}`,
      `$JS.API.CONSUMER.MSG.NEXT.INBOX.node-${node}`,
      `$JS.ACK.INBOX.node-${node}.>`,
    ],
    subscribe: [
      `_INBOX_${node}.>`,
      `fw.v1.receipt.${org}.${node}.*`,
      `fw.v1.event.${org}.org.*`,
      `fw.v1.peer.${org}.${node}.*`,
    ],
  };
}

const MINUTE_NS = 60e9;

export async function createStreams(nc: NatsConnection): Promise<void> {
  await createIngress(nc);
  await api(nc, 'STREAM.CREATE.INBOX', {
    name: 'INBOX',
    subjects: ['fw.v1.inbox.>'],
    retention: 'workqueue',
    storage: 'memory',
    duplicate_window: MINUTE_NS,
  });
  const receipts = {
    name: 'RECEIPTS',
    subjects: ['fw.v1.receipt.>'],
    retention: 'limits',
    storage: 'memory',
  };
  await api(nc, 'STREAM.CREATE.RECEIPTS', { ...receipts, duplicate_window: MINUTE_NS });
}

export async function createIngress(nc: NatsConnection): Promise<void> {
  const ingress = { name: 'INGRESS', subjects: ['fw.v1.ingress.>'], retention: 'limits', storage: 'memory' };
  await api(nc, 'STREAM.CREATE.INGRESS', { ...ingress, duplicate_window: MINUTE_NS });
}

/** The node's consumer, anew: all that was not acknowledged comes again. */
export async function recreateConsumer(nc: NatsConnection, org: string, node: string): Promise<void> {
  const name = `node-${node}`;
  await api(nc, `CONSUMER.DELETE.INBOX.${name}`).catch(() => undefined);
  await api(nc, `CONSUMER.DURABLE.CREATE.INBOX.${name}`, {
    stream_name: 'INBOX',
    config: {
      durable_name: name,
      filter_subject: `fw.v1.inbox.0.${org}.${node}.>`,
      ack_policy: 'explicit',
      deliver_policy: 'all',
      ack_wait: MINUTE_NS,
      max_deliver: -1,
      max_ack_pending: 1024,
    },
  });
}
