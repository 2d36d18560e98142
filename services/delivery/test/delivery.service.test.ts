/**
 * Goal: delivery as it runs: what is published arrives once and whole, through crashes of PostgreSQL, bad messages,
 * duplicates and disorder, with two replicas at work; and what nobody takes from the inbox ends as expired.
 * Method: a real nats-server and PostgreSQL, the service started as `main.ts` starts it, called over gRPC with tokens.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { Broker } from '@fleetwire/broker';
import { connectBroker } from '@fleetwire/broker';
import type { ConsumerSpec } from '@fleetwire/contract';
import {
  DELIVERY_DEAD,
  DELIVERY_HISTORY,
  DELIVERY_RECEIPTS,
  filters,
  inboxSubject,
  ROUTES_BUCKET,
  receiptSubject,
  routeKey,
} from '@fleetwire/contract';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { Event } from '@fleetwire/gen/event';
import type { Envelope, Receipt } from '@fleetwire/gen/message';
import { Envelope as EnvelopeCodec, InboxPack, NodeRoute, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { createTokenSigner, ensureKeys } from '@fleetwire/identity';
import { FleetwireError, newId, newMessageId } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';
import { createRpcClient } from '@fleetwire/rpc';
import type { RunningService } from '@fleetwire/runtime';
import { bootstrapFabric } from '@fleetwire/runtime';
import { eventually, startOwnPostgres, startTestNats, tempFolder } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { start } from '../src/service.ts';
import * as sample from './sample-traffic.ts';

const MiB = 1024 * 1024;
const SIZING = { ingress_max_bytes: 64 * MiB, inbox_max_bytes: 64 * MiB };

describe('delivery service', function () {
  this.timeout(120_000);
  const stack = new AsyncDisposableStack();
  let postgres: Awaited<ReturnType<typeof startOwnPostgres>>;
  let broker: Broker;
  let keysDir: string;
  let natsUrl: string;
  let services: RunningService[];
  let client: RpcClient<DeliveryServiceDefinition>;
  let published = 0;

  before(async () => {
    const nats = stack.use(await startTestNats());
    // Crashes are part of this test, so commits must reach the system before they are acknowledged.
    postgres = stack.use(await startOwnPostgres({}));
    natsUrl = nats.url;
    broker = await connectBroker({ urls: [natsUrl], name: 'test', waitMs: 5000 });
    stack.defer(() => broker.close());
    await bootstrapFabric({ natsUrls: [natsUrl], singleTenant: true, partitions: 1, sizing: SIZING });
    await broker.consumers.remove('INGRESS', 'router-p0-e0');
    await sample.putRoutes(broker);
    keysDir = stack.use(tempFolder('keys')).path;
    await ensureKeys(keysDir, { services: ['org', 'registry', 'router', 'delivery'] });
    services = [await run('one'), await run('two')];
    stack.defer(async () => {
      for (const service of services) await service.stop();
    });
    const signer = await createTokenSigner(keysDir, 'org');
    const lifetimeMs = 3_600_000;
    const { token } = await signer.sign({ sub: newId('user'), org: sample.ORG, scopes: [], lifetimeMs });
    client = createRpcClient(DeliveryServiceDefinition, {
      address: services[0]!.address,
      token: () => token,
    });
    stack.defer(() => client.close());
  });

  after(() => stack.disposeAsync());

  function run(instance: string): Promise<RunningService> {
    return start({
      env: {},
      overrides: {
        common: { instance, log_level: 'silent' },
        nats: { url: natsUrl, single_tenant: true },
        database: { url: postgres.url, pool_max: 4 },
        keys: { dir: keysDir },
        delivery: {
          sweep_interval_ms: 100,
          sweep_margin_ms: 100,
          sweep_silent_ms: 1000,
          retry_max_ms: 200,
          flush_ms: 20,
        },
      },
    });
  }

  const put = (subject: string, payload: Uint8Array) =>
    broker.store(subject, payload, { msgId: `test-${published++}` });

  const putHistory = (messages: Envelope[]) => put(sample.INGRESS_SUBJECT, sample.ingressPack(messages));

  const putReceipts = (messages: Envelope[], stage: Stage) => {
    const receipts = messages.map((message) => sample.receiptFor(message, stage));
    return put(sample.RECEIPT_SUBJECT, sample.receiptBatch(receipts));
  };

  const get = async (id: string) => (await client.getMessage({ id })).message;

  async function isDrained(consumer: ConsumerSpec): Promise<boolean> {
    const info = await broker.consumers.info(consumer.stream, consumer.durable_name);
    return info !== undefined && info.numPending === 0 && info.numAckPending === 0;
  }

  const drained = () =>
    eventually(
      async () =>
        (await isDrained(DELIVERY_HISTORY)) &&
        (await isDrained(DELIVERY_RECEIPTS)) &&
        (await isDrained(DELIVERY_DEAD)),
      { timeoutMs: 60_000, everyMs: 50 },
    );

  async function expectSettled(messages: readonly Envelope[], stage: Stage): Promise<void> {
    for (const { id } of messages) {
      const found = await get(id);
      assert.equal(found?.fromName, 'alice', `history of ${id}`);
      assert.deepEqual(
        found.settlements.map((s) => [s.recipient, s.stage, s.final]),
        [[sample.BOB, stage, true]],
      );
    }
  }

  it('settles every message once, though receipts come first, twice and backwards', async () => {
    const messages = Array.from({ length: 60 }, () => sample.envelope());
    await putReceipts(messages, Stage.CONFIRMED);
    await putReceipts(messages.toReversed(), Stage.UNCONFIRMED);
    await putReceipts(messages, Stage.CONFIRMED);
    await putReceipts(messages, Stage.HELD);
    await putHistory(messages);
    await putHistory(messages);
    await drained();
    await expectSettled(messages, Stage.CONFIRMED);
    const { hops } = await client.traceMessage({ id: messages[0]!.id });
    assert.deepEqual(
      hops.map((t) => t.hop?.stage),
      [Stage.ACCEPTED, Stage.ROUTED, Stage.HELD, Stage.DELIVERED, Stage.CONFIRMED, Stage.UNCONFIRMED],
    );
  });

  it('loses nothing when PostgreSQL is killed in the middle, and catches up', async () => {
    const messages: Envelope[] = [];
    let killed: Promise<unknown> | undefined;
    for (let i = 0; i < 60; i++) {
      const pack = Array.from({ length: 20 }, () => sample.envelope());
      messages.push(...pack);
      await Promise.all([putHistory(pack), putReceipts(pack, Stage.CONFIRMED)]);
      if (i === 20) {
        process.kill(postgres.server.pid, 'SIGKILL');
        killed = postgres.server.exited;
      }
    }
    await killed;
    await eventually(() => services.some((service) => isWaiting(service)));
    assert.ok(!((await isDrained(DELIVERY_HISTORY)) && (await isDrained(DELIVERY_RECEIPTS))));
    await assert.rejects(
      get(messages[0]!.id),
      (e: unknown) => e instanceof FleetwireError && e.kind === 'unavailable',
    );
    await postgres.restart();
    await drained();
    await expectSettled(
      messages.filter((_, i) => i % 10 === 0),
      Stage.CONFIRMED,
    );
    let count = 0;
    let pageToken = '';
    do {
      const page = await client.listMessages({ pageSize: 500, pageToken });
      const ids = new Set(messages.map((message) => message.id));
      count += page.messages.filter(
        (m) => ids.has(m.id) && m.settlements[0]?.stage === Stage.CONFIRMED,
      ).length;
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    assert.equal(count, messages.length);
  });

  it('lets no bad message stop the good ones, and keeps it', async () => {
    const before = await sumOfRejected();
    const messages = Array.from({ length: 5 }, () => sample.envelope({ correlationId: 'odd \0 text' }));
    await put(sample.INGRESS_SUBJECT, new Uint8Array([0x0a, 0x7f, 1]));
    await put(sample.RECEIPT_SUBJECT, new Uint8Array([0x0a, 0x7f, 2]));
    await put(sample.RECEIPT_SUBJECT, sample.receiptBatch([sample.receiptFor(messages[0]!, 0 as Stage)]));
    await putHistory(messages);
    await putReceipts(messages, Stage.CONFIRMED);
    await drained();
    await expectSettled(messages, Stage.CONFIRMED);
    assert.equal((await sumOfRejected()) - before, 3);
    const listed = await client.listMessages({ correlationId: 'odd \0 text' });
    assert.equal(listed.messages.length, 5);
  });

  it('tells of full queues, each message in one event, and of receipts that it refuses', async () => {
    const told: Event[] = [];
    broker.subscribe(
      filters.eventsOf(sample.ORG, 'delivery'),
      ({ data }) => void told.push(Event.decode(data)),
    );
    const receipts = Array.from({ length: 6 }, () =>
      sample.receiptFor(sample.envelope(), Stage.RETURNED, { reason: 'QUEUE_FULL' }),
    );
    for (const part of [receipts.slice(0, 4), receipts.slice(4)])
      await put(sample.RECEIPT_SUBJECT, sample.receiptBatch(part));
    const overflows = () => told.filter(({ name }) => name === 'overflow');
    const count = () => overflows().reduce((sum, { details }) => sum + Number(details['count']), 0);
    await eventually(() => count() === receipts.length, { timeoutMs: 20_000 });
    await put(sample.RECEIPT_SUBJECT, new Uint8Array([0x0a, 0x7f, 3]));
    await eventually(() => told.some(({ details }) => details['reason'] === 'RECEIPTS_UNDECODABLE'));
    for (const { target, details } of overflows())
      assert.deepEqual(
        [target, details['reason'], details['node']],
        [sample.BOB, 'QUEUE_FULL', sample.NODE_B],
      );
  });

  it('ends what waits in the inbox beyond its deadline, and leaves the rest', async () => {
    const nowUs = broker.clock.nowUs();
    const late = sample.envelope({ acceptedAtUs: nowUs - 5_000_000, ttlMs: 1000 });
    const live = sample.envelope({ acceptedAtUs: nowUs });
    await putHistory([late, live]);
    const place = { shard: 0, org: sample.ORG, node: sample.NODE_B, agent: sample.BOB };
    const entry = (message: Envelope, deadlineUs: number) => ({
      envelope: EnvelopeCodec.encode(message).finish(),
      recipients: [sample.BOB],
      ingressAtUs: nowUs,
      ingressSeq: 1,
      routedAtUs: nowUs,
      router: 'router-1',
      deadlineUs,
      routeEpoch: 1,
      movedEpoch: 0,
    });
    const inbox = inboxSubject.build(place);
    const pack = (e: ReturnType<typeof entry>) =>
      InboxPack.encode(InboxPack.fromPartial({ entries: [e] })).finish();
    const heard: ReceiptBatch[] = [];
    const listening = broker.subscribe(filters.receiptsOfOrg(sample.ORG), (m) =>
      heard.push(ReceiptBatch.decode(m.data)),
    );
    const first = await put(inbox, pack(entry(late, nowUs - 4_000_000)));
    const second = await put(inbox, pack(entry(live, nowUs + 600_000_000)));
    const settled = await eventually(async () => (await get(late.id))?.settlements[0]);
    listening.stop();
    assert.deepEqual([settled.stage, settled.final, settled.reason], [Stage.EXPIRED, true, 'TTL_EXPIRED']);
    await eventually(async () => (await broker.messages.get('INBOX', first.sequence)) === undefined);
    assert.notEqual(await broker.messages.get('INBOX', second.sequence), undefined);
    await drained();
    assert.deepEqual((await get(live.id))?.settlements, []);
    const told = heard.flatMap((batch) => batch.receipts.map((r) => r.messageId));
    assert.deepEqual(told, [late.id]);
    assert.equal(services.filter((service) => health(service).sweep.leading).length, 1);
  });

  it('ends what is past its time and has no end, once, as expired or returned, and proof upgrades it', async () => {
    const late = Array.from({ length: 6 }, () => sample.envelope({ ttlMs: 1500 }));
    const [silent, removed, unheard, many, proved, waits] = late as [
      Envelope,
      Envelope,
      Envelope,
      Envelope,
      Envelope,
      Envelope,
    ];
    const toMany = sample.envelope({ to: '#ops', ttlMs: 1500 });
    const longer = sample.envelope({ ttlMs: 600_000 });
    const nodeC = newId('node');
    const routes = await broker.bucket(ROUTES_BUCKET);
    await routes.put(
      routeKey(sample.ORG, nodeC),
      NodeRoute.encode(NodeRoute.fromPartial({ node: nodeC })).finish(),
    );
    await routes.put(routeKey(sample.ORG, sample.DAVE), sample.routeOf(sample.DAVE, 'dave', nodeC));
    const heard: Receipt[] = [];
    const listening = broker.subscribe(filters.receiptsToNode(sample.ORG, sample.NODE_A), (m) => {
      if (m.subject.endsWith('.delivery')) heard.push(...ReceiptBatch.decode(m.data).receipts);
    });
    const place = { shard: 0, org: sample.ORG, node: sample.NODE_B, agent: sample.CAROL };
    const deadlineUs = broker.clock.nowUs() + 1_500_000;
    const entry = { envelope: EnvelopeCodec.encode(waits).finish(), recipients: [sample.CAROL], deadlineUs };
    const pack = InboxPack.fromPartial({ entries: [entry] });
    await put(inboxSubject.build(place), InboxPack.encode(pack).finish());
    await putHistory([...late, toMany, longer]);
    const held = (message: Envelope, node: string, recipient: string) =>
      sample.receiptFor(message, Stage.HELD, {
        recipient,
        hops: [sample.hop(Stage.HELD, node, message.acceptedAtUs + 9)],
      });
    const say = (from: string, ...receipts: Receipt[]) =>
      put(
        receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from }),
        sample.receiptBatch(receipts),
      );
    await say(nodeC, held(silent, nodeC, sample.DAVE), held(proved, nodeC, sample.DAVE));
    await say(
      sample.NODE_B,
      held(removed, sample.NODE_B, sample.BOB),
      held(longer, sample.NODE_B, sample.BOB),
    );
    await say(sample.NODE_B, sample.receiptFor(many, Stage.CONFIRMED));
    await say(
      'router',
      sample.receiptFor(toMany, Stage.ROUTED, { recipient: '', recipientName: '', fanOut: 2 }),
    );
    await say(nodeC, sample.receiptFor(toMany, Stage.CONFIRMED, { recipient: sample.DAVE }));
    const ends = async (message: Envelope) =>
      (await get(message.id))?.settlements.map((s) => [s.recipient, s.stage, s.reason, s.final]);
    const becomes = (message: Envelope, ...wanted: unknown[]) =>
      eventually(async () => isDeepStrictEqual(await ends(message), wanted), {
        timeoutMs: 20_000,
        everyMs: 100,
      });
    const SILENT = [Stage.EXPIRED, 'NODE_SILENT', true];
    await becomes(silent, [sample.DAVE, ...SILENT]);
    await becomes(removed, [sample.BOB, Stage.RETURNED, 'NODE_REMOVED', true]);
    await becomes(unheard, ['', ...SILENT]);
    await becomes(toMany, ['', ...SILENT], [sample.DAVE, Stage.CONFIRMED, '', true]);
    await becomes(many, [sample.BOB, Stage.CONFIRMED, '', true]);
    // Late proof, also of somebody of whom nothing had been heard.
    await say(nodeC, sample.receiptFor(proved, Stage.CONFIRMED, { recipient: sample.DAVE }));
    await say(sample.NODE_B, sample.receiptFor(unheard, Stage.CONFIRMED));
    await say(sample.NODE_B, sample.receiptFor(toMany, Stage.CONFIRMED));
    await becomes(proved, [sample.DAVE, Stage.CONFIRMED, '', true]);
    await becomes(unheard, [sample.BOB, Stage.CONFIRMED, '', true]);
    await eventually(async () =>
      ((await ends(toMany)) ?? []).every(([, stage]) => stage === Stage.CONFIRMED),
    );
    // It was in the inbox, where the other sweep sees to it; and one whose time is not over.
    assert.deepEqual(await ends(waits), [[sample.CAROL, Stage.EXPIRED, 'TTL_EXPIRED', true]]);
    assert.deepEqual(await ends(longer), [[sample.BOB, Stage.HELD, '', false]]);
    listening.stop();
    const told = heard.map(({ messageId }) => messageId);
    for (const message of [silent, removed, unheard, toMany, waits])
      assert.equal(told.filter((id) => id === message.id).length, 1);
    for (const message of [many, longer]) assert.ok(!told.includes(message.id));
  });

  it('knows nothing of another org’s messages, and nobody without a token', async () => {
    const message = sample.envelope();
    await putHistory([message]);
    await drained();
    const signer = await createTokenSigner(keysDir, 'org');
    const claims = { sub: newId('user'), org: newId('org'), scopes: [], lifetimeMs: 60_000 };
    const { token } = await signer.sign(claims);
    const unknown = (e: unknown) => e instanceof FleetwireError && e.reason === 'MESSAGE_UNKNOWN';
    await assert.rejects(client.getMessage({ id: message.id }, { token }), unknown);
    await assert.rejects(client.traceMessage({ id: newMessageId() }), unknown);
    assert.deepEqual((await client.listMessages({}, { token })).messages, []);
    const bad = (e: unknown) => e instanceof FleetwireError && e.kind === 'unauthenticated';
    await assert.rejects(client.getMessage({ id: message.id }, { token: 'x' }), bad);
  });

  it('a replica that goes takes nothing with it', async () => {
    const messages = Array.from({ length: 400 }, () => sample.envelope());
    const leaving = services.pop()!;
    const stopped = (async () => {
      for (let i = 0; i < messages.length; i += 20) {
        const pack = messages.slice(i, i + 20);
        await Promise.all([putHistory(pack), putReceipts(pack, Stage.CONFIRMED)]);
        if (i === 100) void leaving.stop();
      }
      await leaving.stopped;
    })();
    await stopped;
    await drained();
    await expectSettled(
      messages.filter((_, i) => i % 10 === 0),
      Stage.CONFIRMED,
    );
  });

  interface Health {
    readonly ingest: Record<string, { readonly waiting: boolean; readonly rejected: number }>;
    readonly sweep: { readonly leading: boolean };
  }
  function health(service: RunningService): Health {
    return service.health() as unknown as Health;
  }
  function isWaiting(service: RunningService): boolean {
    return Object.values(health(service).ingest).some((loop) => loop.waiting);
  }
  async function sumOfRejected(): Promise<number> {
    await drained();
    return services
      .flatMap((service) => Object.values(health(service).ingest))
      .reduce((sum, loop) => sum + loop.rejected, 0);
  }
});
