// Goal: bootstrap makes a fabric on empty servers, changes nothing on a second run, and never undoes what services did.
// Method: real servers, in operator mode and plain; bootstrap them, disturb them as a running fabric would, again.

import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import type { Broker } from '@fleetwire/broker';
import { connectBroker } from '@fleetwire/broker';
import {
  DEFAULT_SIZING,
  DELIVERY_HISTORY,
  eventSubject,
  FABRIC_BUCKET,
  FABRIC_RECORD_KEY,
  filters,
  ingressSubject,
  messageEventSubject,
  PROBE_STREAM,
  partitionOf,
  probeSubject,
  routerConsumer,
  type StreamSizing,
  streamSpecs,
  subscriberConsumer,
} from '@fleetwire/contract';
import type { Trust } from '@fleetwire/identity';
import { createNodeKey, ensureKeys, loadOrgKeys, mintNodeUser, nodeInboxPrefix } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { TestNats } from '@fleetwire/testkit';
import { fabricUser, operatorMode, startTestNats, tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { bootstrapFabric, readFabricRecord } from '../src/bootstrap.ts';

const MiB = 1024 * 1024;
const SMALL: StreamSizing = {
  ...DEFAULT_SIZING,
  ingress_max_bytes: 64 * MiB,
  inbox_max_bytes: 64 * MiB,
  receipts_max_bytes: 64 * MiB,
  dead_max_bytes: 64 * MiB,
  events_max_bytes: 64 * MiB,
  messages_max_bytes: 64 * MiB,
};
const says = (reason: string) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === reason;

interface Place extends AsyncDisposable {
  readonly nats: TestNats;
  readonly keysDir: string;
  readonly trust: Trust;
  bootstrap(o?: object): ReturnType<typeof bootstrapFabric>;
  /** Connected as a service. */
  broker(): Promise<Broker>;
}

/** An empty server in operator mode. */
async function emptyServer(): Promise<Place> {
  await using cleanup = new AsyncDisposableStack();
  const folder = cleanup.use(tempFolder('bootstrap'));
  const keysDir = join(folder.path, 'keys');
  const trust = await ensureKeys(keysDir, { orgSlug: 'acme', services: ['router'] });
  const nats = cleanup.use(await startTestNats({ config: operatorMode(keysDir) }));
  const kept = cleanup.move();
  const { port } = nats;
  return {
    nats,
    keysDir,
    trust,
    bootstrap: (o = {}) =>
      bootstrapFabric({
        keysDir,
        natsUrls: [`nats://127.0.0.1:${port}`],
        sizing: SMALL,
        partitions: 4,
        ...o,
      }),
    broker: async () => {
      const broker = await connectBroker({
        urls: [nats.url],
        name: 'test',
        credsFile: await fabricUser(keysDir),
      });
      kept.defer(() => broker.close());
      return broker;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe('bootstrapFabric', function () {
  this.timeout(60_000);

  it('makes all that the fabric needs, so that a node can publish', async () => {
    await using place = await emptyServer();
    const record = await place.bootstrap();
    assert.equal(record.partitions, 4);
    const broker = await place.broker();
    assert.deepEqual(await readFabricRecord(broker), record);
    const names = new Set(await broker.consumers.list('INGRESS'));
    for (let p = 0; p < 4; p++) assert.ok(names.has(routerConsumer(p, 0).durable_name));
    assert.ok(names.has(DELIVERY_HISTORY.durable_name));
    const org = place.trust.orgs[0]!.id;
    const partition = partitionOf(org, 'n_one', 4);
    const node = await nodeBroker(place, org, 'n_one', partition);
    const subject = ingressSubject.build({ partition, org, node: 'n_one' });
    const stored = await node.store(subject, new Uint8Array([1]), { msgId: 'm1' });
    assert.deepEqual(stored, { sequence: 1, duplicate: false });
    await node.close();
  });

  it('changes nothing on a second run, before and after a restart of the server', async () => {
    await using place = await emptyServer();
    const first = await place.bootstrap();
    assert.deepEqual(await place.bootstrap(), first);
    await place.nats.restart();
    assert.deepEqual(await place.bootstrap({ sizing: undefined, partitions: undefined }), first);
  });

  it('finds out anew what the servers do, and leaves nothing of its probes behind, a crashed one included', async () => {
    await using place = await emptyServer();
    const { servers } = await place.bootstrap();
    const broker = await place.broker();
    assert.equal(servers!.version, broker.serverVersion);
    const bucket = await broker.bucket(FABRIC_BUCKET);
    const wrong = { version: '2.9.0', acks_apart: !servers!.acks_apart };
    const changed = { ...(await readFabricRecord(broker)), servers: wrong };
    await bucket.put(FABRIC_RECORD_KEY, Buffer.from(JSON.stringify(changed)));
    const left = {
      name: `${PROBE_STREAM}1-left`,
      subjects: [probeSubject.build({ run: '1-left', side: 'mine' })],
    };
    assert.equal((await callJetstream(broker, `STREAM.CREATE.${left.name}`, left)).error, undefined);
    assert.deepEqual((await place.bootstrap()).servers, servers);
    assert.deepEqual((await readFabricRecord(broker)).servers, servers);
    assert.equal((await callJetstream(broker, 'STREAM.NAMES', { subject: filters.allProbes })).streams, null);
  });

  it('leaves a partition alone that a router has taken over', async () => {
    await using place = await emptyServer();
    await place.bootstrap();
    const broker = await place.broker();
    await broker.consumers.create(routerConsumer(2, 17));
    await broker.consumers.remove('INGRESS', routerConsumer(2, 0).durable_name);
    await place.bootstrap();
    const names = await broker.consumers.list('INGRESS');
    assert.ok(names.includes(routerConsumer(2, 17).durable_name));
    assert.ok(!names.includes(routerConsumer(2, 0).durable_name), 'would keep every message for ever');
  });

  it('makes what is missing after a bootstrap that stopped half-way', async () => {
    await using place = await emptyServer();
    await place.bootstrap();
    const broker = await place.broker();
    await broker.consumers.remove('INGRESS', routerConsumer(1, 0).durable_name);
    await broker.consumers.remove('INGRESS', DELIVERY_HISTORY.durable_name);
    await place.bootstrap();
    const names = await broker.consumers.list('INGRESS');
    for (const name of [routerConsumer(1, 0).durable_name, DELIVERY_HISTORY.durable_name])
      assert.ok(names.includes(name), name);
  });

  it('brings a fabric of the release before on: the stream that came with this one is made, the others stay', async () => {
    await using place = await emptyServer();
    await place.bootstrap();
    const broker = await place.broker();
    // As the release before left it: without the stream, its numbers, and its ways between the accounts.
    await callJetstream(broker, 'STREAM.DELETE.MESSAGES', {});
    const bucket = await broker.bucket(FABRIC_BUCKET);
    const {
      sizing: { messages_max_bytes: _, messages_max_msgs_per_subject: __, ...sizing },
      ...rest
    } = await readFabricRecord(broker);
    const written = { ...rest, sizing };
    await bucket.put(FABRIC_RECORD_KEY, Buffer.from(JSON.stringify(written)));
    const org = place.trust.orgs[0]!.id;
    const told = eventSubject.build({ org, service: 'delivery', name: 'message_sent' });
    await broker.store(told, Buffer.from('told by the release before'), { msgId: 'before' });
    await broker.consumers.create(subscriberConsumer({ org, what: 'events', name: 'theirs' }));
    const events = await broker.streams.state('EVENTS');

    const known = await readFabricRecord(broker);
    assert.equal(known.sizing.messages_max_bytes, DEFAULT_SIZING.messages_max_bytes);
    const messages = streamSpecs(known.sizing).filter((s) => s.name === 'MESSAGES');
    await assert.rejects(broker.streams.verify(messages), says('STREAM_MISSING'));
    const chosen = { messages_max_bytes: 8 * MiB };
    const record = await place.bootstrap({ sizing: chosen, partitions: undefined });
    assert.deepEqual(record.sizing, { ...DEFAULT_SIZING, ...sizing, ...chosen });
    assert.deepEqual(await readFabricRecord(broker), record);
    await broker.streams.verify(streamSpecs(record.sizing), record.sizing.replicas);
    assert.equal((await broker.streams.state('MESSAGES'))?.maxBytes, 8 * MiB);
    assert.deepEqual(await broker.streams.state('EVENTS'), events);
    assert.equal((await broker.consumers.info('EVENTS', `sub-${org}-theirs`))?.numPending, 1);
    const stored = { org, name: 'message_sent' };
    await broker.store(messageEventSubject.build(stored), Buffer.from('now'), { msgId: 'now' });
    assert.equal((await broker.streams.state('MESSAGES'))?.messages, 1);
    // Decided by now, like all other numbers.
    await assert.rejects(place.bootstrap({ sizing: { messages_max_bytes: 9 * MiB } }), says('SIZING_FIXED'));
    assert.deepEqual(await place.bootstrap({ sizing: undefined }), record);
  });

  it('refuses other numbers than those recorded', async () => {
    await using place = await emptyServer();
    await place.bootstrap();
    await assert.rejects(place.bootstrap({ partitions: 8 }), says('PARTITIONS_FIXED'));
    await assert.rejects(place.bootstrap({ sizing: { inbox_max_bytes: MiB } }), says('SIZING_FIXED'));
    await assert.rejects(place.bootstrap({ partitions: 0 }), says('INVALID_PARTITIONS'));
  });

  it('lets an org in that was added later', async () => {
    await using place = await emptyServer();
    await place.bootstrap();
    const trust = await ensureKeys(place.keysDir, { orgSlug: 'later', services: ['router'] });
    await place.bootstrap();
    const org = trust.orgs[1]!.id;
    const node = await nodeBroker(place, org, 'n_two', 0);
    await node.store(ingressSubject.build({ partition: 0, org, node: 'n_two' }), new Uint8Array(1), {
      msgId: 'm',
    });
    await node.close();
  });

  it('does two at once', async () => {
    await using place = await emptyServer();
    const [a, b] = await Promise.all([place.bootstrap(), place.bootstrap()]);
    assert.deepEqual(a, b);
  });

  it('does the JetStream part alone on a plain server', async () => {
    await using nats = await startTestNats();
    const record = await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, sizing: SMALL });
    assert.equal(record.partitions, 8);
    const broker = await connectBroker({ urls: [nats.url], name: 'test' });
    assert.deepEqual(await readFabricRecord(broker), record);
    await broker.close();
  });

  it('says what is wrong with a server that takes too little, and with none', async () => {
    const config = ({ dir, port }: { dir: string; port: number }) =>
      `host: 127.0.0.1\nport: ${port}\njetstream { store_dir: ${JSON.stringify(join(dir, 'js'))} }\n`;
    await using nats = await startTestNats({ config });
    const small = bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, waitMs: 0 });
    await assert.rejects(small, says('MAX_PAYLOAD_TOO_SMALL'));
    const none = bootstrapFabric({ natsUrls: ['nats://127.0.0.1:1'], singleTenant: true, waitMs: 0 });
    await assert.rejects(none, (e) => e instanceof FleetwireError && e.kind === 'unavailable');
  });
});

async function callJetstream(broker: Broker, call: string, body: object) {
  const answer = await broker.request(`$JS.API.${call}`, Buffer.from(JSON.stringify(body)), 5000);
  return JSON.parse(new TextDecoder().decode(answer));
}

async function nodeBroker(place: Place, org: string, node: string, partition: number): Promise<Broker> {
  const key = createNodeKey();
  const signing = (await loadOrgKeys(place.keysDir)).own.get(org)!;
  const { publicKey } = key;
  const minted = await mintNodeUser({
    signing,
    org,
    node,
    publicKey,
    partition,
    shard: 0,
    lifetimeMs: 60_000,
  });
  const seed = new TextEncoder().encode(key.seed);
  return connectBroker({
    urls: [place.nats.url],
    name: node,
    credentials: () => ({ jwt: minted.jwt, seed }),
    inboxPrefix: nodeInboxPrefix(node),
  });
}
