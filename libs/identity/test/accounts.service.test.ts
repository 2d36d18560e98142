// Goal: the account design holds on real servers: nodes can do their work across accounts, and nothing else.
// Method: raw clients with minted credentials against a server in operator mode; each refusal is the server's own.
// FLEETWIRE_NATS_SERVER names the server's binary.

import { strict as assert } from 'node:assert';
import {
  eventSubject,
  filters,
  heartbeatSubject,
  inboxSubject,
  ingressSubject,
  LIMITS,
  nodeConsumer,
  partitionOf,
  peerSubject,
  receiptSubject,
} from '@fleetwire/contract';
import { eventually } from '@fleetwire/testkit';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { headers } from '@nats-io/transport-node';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { claimsIn } from '../src/accounts.ts';
import { nodeInboxPrefix } from '../src/index.ts';
import { claimsLookup, pullOfNode } from '../src/jetstream-subjects.ts';
import type { FabricFixture, NodeClient } from './fabric-fixture.ts';
import { makeNodeConsumers, startFabric } from './fabric-fixture.ts';

const TIMEOUT = { timeout: 20_000 };
const REFUSED = /authoriz|authentic|expired/i;

describe('accounts and node users', () => {
  let fabric: FabricFixture;
  let service: NatsConnection;
  let one: string;
  let two: string;
  let alice: NodeClient;
  let bob: NodeClient;
  let mallory: NodeClient;

  before(async () => {
    fabric = await startFabric();
    [one, two] = fabric.orgs;
    service = await fabric.fabricUser();
    await makeNodeConsumers(service, fabric.orgs);
  });
  after(async () => {
    await fabric?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    const manager = await jetstreamManager(service);
    for (const stream of ['INGRESS', 'INBOX', 'RECEIPTS']) await manager.streams.purge(stream);
    ({ alice, bob, mallory } = await fabric.three());
  });
  afterEach(async () => {
    for (const { connection } of [alice, bob, mallory]) await connection.close();
  });

  const ingress = (org: string, node: string, partition = partitionOf(org, node, 8)) =>
    ingressSubject.build({ partition, org, node });
  const inbox = (org: string, node: string) => inboxSubject.build({ shard: 0, org, node, agent: 'a_x' });

  /** Subjects stored in a stream, with how often. */
  async function stored(stream: string): Promise<Record<string, number>> {
    const manager = await jetstreamManager(service);
    return (await manager.streams.info(stream, { subjects_filter: '>' })).state.subjects ?? {};
  }
  function listen(client: NodeClient, filter: string): Msg[] {
    const heard: Msg[] = [];
    client.connection.subscribe(filter, { callback: (_, message) => void heard.push(message) });
    return heard;
  }
  /** What was sent before is handled by the server, and anything it caused has come back. */
  async function settle(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      for (const c of [alice.connection, bob.connection, mallory.connection, service])
        if (!c.isClosed()) await c.flush();
      await service.request('$JS.API.INFO', '', TIMEOUT);
    }
  }

  it('let an org have a bounded number of connections, by what the servers hold of its account', async () => {
    const sys = await fabric.service('sys');
    const claims = claimsLookup(fabric.trust.orgs[0]!.account);
    const held = claimsIn((await sys.request(claims, '', TIMEOUT)).string());
    assert.equal(held.limits!.conn, LIMITS.orgConnections);
    assert.ok(LIMITS.orgConnections >= 2 * LIMITS.orgNodes);
    await sys.close();
  });

  it('stores ingress across accounts and answers with its sequence', async () => {
    const reply = await alice.connection.request(ingress(one, 'n_alice'), 'hello', TIMEOUT);
    assert.equal(reply.json<{ stream: string }>().stream, 'INGRESS');
    assert.deepEqual(await stored('INGRESS'), { [ingress(one, 'n_alice')]: 1 });
  });

  it('lets a node pull many by one request, with heartbeats, and acknowledge', async () => {
    const js = jetstream(service);
    for (const body of ['1', '2', '3']) await js.publish(inbox(one, 'n_alice'), body);
    const heard = listen(alice, `${nodeInboxPrefix('n_alice')}.pull`);
    const request = JSON.stringify({ batch: 10, expires: 1_000_000_000, idle_heartbeat: 300_000_000 });
    const pull = pullOfNode(0, one, 'n_alice');
    alice.connection.publish(pull, request, { reply: `${nodeInboxPrefix('n_alice')}.pull` });
    await eventually(
      () => heard.some((m) => m.headers?.code === 100) && heard.some((m) => m.headers?.code === 408),
    );
    const messages = heard.filter((m) => m.headers === undefined || m.headers.code === 0);
    assert.deepEqual(
      messages.map((m) => [m.subject, m.string()]),
      ['1', '2', '3'].map((body) => [inbox(one, 'n_alice'), body]),
    );
    for (const message of messages) alice.connection.publish(message.reply!, '+ACK');
    const manager = await jetstreamManager(service);
    await eventually(async () => (await manager.streams.info('INBOX')).state.messages === 0);
  });

  it('brings a receipt of a node to the stream and to the other node, once each', async () => {
    const heard = listen(alice, filters.receiptsToNode(one, 'n_alice'));
    await settle();
    const subject = receiptSubject.build({ org: one, toNode: 'n_alice', from: 'n_bob' });
    const reply = await bob.connection.request(subject, 'got it', TIMEOUT);
    assert.equal(reply.json<{ stream: string }>().stream, 'RECEIPTS');
    await settle();
    assert.deepEqual(
      heard.map((m) => [m.subject, m.string()]),
      [[subject, 'got it']],
    );
    assert.deepEqual(await stored('RECEIPTS'), { [subject]: 1 });
  });

  for (const from of ['router', 'delivery', 'registry']) {
    it(`brings a receipt of ${from} to the stream and to the node, once each`, async () => {
      const heard = listen(alice, filters.receiptsToNode(one, 'n_alice'));
      const others = [
        listen(bob, filters.receiptsToNode(one, 'n_bob')),
        listen(mallory, filters.receiptsToNode(two, 'n_mallory')),
      ];
      await settle();
      const subject = receiptSubject.build({ org: one, toNode: 'n_alice', from });
      const id = headers();
      id.set('Nats-Msg-Id', `receipt of ${from}`);
      await service.request(subject, 'refused', { ...TIMEOUT, headers: id });
      await settle();
      assert.deepEqual(
        heard.map((m) => [m.subject, m.string()]),
        [[subject, 'refused']],
      );
      assert.deepEqual(others.flat(), []);
      assert.deepEqual(await stored('RECEIPTS'), { [subject]: 1 });
    });
  }

  it('brings what org says about an org to its nodes, and to no others', async () => {
    const events = (org: string) => filters.eventsOf(org, 'org');
    const heard = listen(alice, events(one));
    const strangers = listen(mallory, events(two));
    await settle();
    const subject = eventSubject.build({ org: one, service: 'org', name: 'tokens_revoked' });
    const others = ['router', 'orgs'].map((from) =>
      eventSubject.build({ org: one, service: from, name: 'denied' }),
    );
    for (const each of [...others, subject]) await service.request(each, 'told', TIMEOUT);
    await settle();
    assert.deepEqual(
      heard.map((m) => [m.subject, m.string()]),
      [[subject, 'told']],
    );
    assert.deepEqual(strangers, []);
  });

  it('brings frames of registry and router to the node that they are for, and to no others', async () => {
    const heard = [listen(alice, filters.framesToNode(one, 'n_alice'))];
    heard.push(listen(bob, filters.framesToNode(one, 'n_bob')));
    heard.push(listen(mallory, filters.framesToNode(two, 'n_mallory')));
    await settle();
    const frame = (from: string) => peerSubject.build({ org: one, to: 'n_alice', from });
    for (const from of ['delivery', 'n_bob', 'registry', 'router']) service.publish(frame(from), 'now');
    await settle();
    await eventually(() => heard[0]!.length > 1);
    const subjects = heard.map((all) => all.map((m) => m.subject));
    assert.deepEqual(subjects, [[frame('registry'), frame('router')], [], []]);
  });

  it('keeps the events of an org from another by the account alone, whatever rights a user in it has', async () => {
    const nosy = await fabric.unbounded(two);
    const heard = listen(nosy, '>');
    await nosy.connection.flush();
    const events = [one, two].map((org) =>
      eventSubject.build({ org, service: 'org', name: 'tokens_revoked' }),
    );
    for (const subject of events) await service.request(subject, 'told', TIMEOUT);
    await settle();
    await nosy.connection.flush();
    const subjects = heard.map((m) => m.subject);
    assert.deepEqual([subjects.includes(events[0]!), subjects.includes(events[1]!)], [false, true]);
    await nosy.connection.close();
  });

  it('brings heartbeats to a service, and its answer back', async () => {
    const queue = {
      queue: 'registry',
      callback: (_: unknown, m: Msg) => void m.respond(`beat ${m.subject}`),
    };
    const subscription = service.subscribe(filters.allHeartbeats, queue);
    await service.flush();
    const subject = heartbeatSubject.build({ org: one, node: 'n_alice' });
    assert.equal((await alice.connection.request(subject, '', TIMEOUT)).string(), `beat ${subject}`);
    subscription.unsubscribe();
  });

  it('refuses to publish what is not of the node itself', async () => {
    const partition = partitionOf(one, 'n_alice', 8);
    const refused = [
      ingress(one, 'n_bob'),
      ingress(one, 'n_alice', partition + 1),
      ingress(two, 'n_alice', partition),
      receiptSubject.build({ org: one, toNode: 'n_bob', from: 'router' }),
      receiptSubject.build({ org: one, toNode: 'n_alice', from: 'n_bob' }),
      receiptSubject.build({ org: two, toNode: 'n_mallory', from: 'n_alice' }),
      heartbeatSubject.build({ org: one, node: 'n_bob' }),
      eventSubject.build({ org: one, service: 'org', name: 'tokens_revoked' }),
      inbox(one, 'n_alice'),
      pullOfNode(0, one, 'n_bob'),
      `$JS.ACK.INBOX.${nodeConsumer(0, one, 'n_bob').durable_name}.1.1.1.1.0`,
      '$JS.API.STREAM.INFO.INBOX',
      '$JS.API.STREAM.MSG.GET.INBOX',
      '$JS.API.DIRECT.GET.INBOX',
      '$JS.API.STREAM.NAMES',
      '$JS.API.CONSUMER.INFO.INBOX.node-n_alice',
      '$JS.API.CONSUMER.DELETE.INBOX.node-n_alice',
      '$SYS.REQ.SERVER.PING',
    ];
    for (const subject of refused) alice.connection.publish(subject, 'no');
    await settle();
    await eventually(() => alice.faults.length >= refused.length);
    for (const subject of refused)
      assert.ok(
        alice.faults.some((fault) => fault.includes(`"${subject}"`)),
        subject,
      );
    for (const stream of ['INGRESS', 'INBOX', 'RECEIPTS']) assert.deepEqual(await stored(stream), {});
  });

  it('refuses to subscribe to what is not of the node itself', async () => {
    const refused = [
      '>',
      '_INBOX.>',
      `${nodeInboxPrefix('n_bob')}.>`,
      filters.receiptsToNode(one, 'n_bob'),
      filters.receiptsOfOrg(one),
      filters.allIngress,
      filters.allEvents,
      filters.eventsOf(one, 'registry'),
      filters.eventsOf(two, 'org'),
    ];
    for (const filter of refused) alice.connection.subscribe(filter, { callback: () => undefined });
    await settle();
    await eventually(() => alice.faults.length >= refused.length);
  });

  describe('reply subjects', () => {
    const strangers = () => [
      inbox(one, 'n_bob'),
      inbox(two, 'n_mallory'),
      ingress(one, 'n_bob'),
      ingress(two, 'n_mallory'),
      receiptSubject.build({ org: one, toNode: 'n_bob', from: 'router' }),
      receiptSubject.build({ org: two, toNode: 'n_mallory', from: 'router' }),
      `${nodeInboxPrefix('n_mallory')}.x`,
      `$JS.ACK.INBOX.${nodeConsumer(0, one, 'n_bob').durable_name}.1.1.1.1.0`,
    ];

    it('of a publish fill no stream and reach no other org', async () => {
      const heard = [
        listen(mallory, filters.receiptsToNode(two, 'n_mallory')),
        listen(mallory, `${nodeInboxPrefix('n_mallory')}.>`),
      ];
      await settle();
      for (const reply of strangers()) alice.connection.publish(ingress(one, 'n_alice'), 'x', { reply });
      await settle();
      assert.deepEqual(heard.flat(), []);
      assert.deepEqual(await stored('INBOX'), {});
      assert.deepEqual(await stored('RECEIPTS'), {});
      assert.deepEqual(Object.keys(await stored('INGRESS')), [ingress(one, 'n_alice')]);
    });

    it('of a pull fill no stream, reach no other org, and never look like a receipt', async () => {
      const heard = [
        listen(mallory, filters.receiptsToNode(two, 'n_mallory')),
        listen(mallory, `${nodeInboxPrefix('n_mallory')}.>`),
      ];
      const bobs = listen(bob, filters.receiptsToNode(one, 'n_bob'));
      await settle();
      const js = jetstream(service);
      for (const reply of strangers()) {
        await js.publish(inbox(one, 'n_alice'), `for ${reply}`);
        const request = JSON.stringify({ batch: 1, no_wait: true });
        alice.connection.publish(pullOfNode(0, one, 'n_alice'), request, { reply });
        await settle();
      }
      assert.deepEqual(heard.flat(), []);
      assert.deepEqual(Object.keys(await stored('INBOX')), [inbox(one, 'n_alice')]);
      for (const stream of ['INGRESS', 'RECEIPTS']) assert.deepEqual(await stored(stream), {});
      // Within the org it can be heard, but its subject gives it away; hence receivers check the subject.
      for (const message of bobs) assert.equal(receiptSubject.parse(message.subject), undefined);
    });
  });

  it('turns away a user whose time is over, and a foreign signature', async () => {
    await assert.rejects(fabric.node(one, 'n_late', { lifetimeMs: -1000 }), REFUSED);
    await assert.rejects(fabric.node(one, 'n_forged', { signedBy: two }), REFUSED);
    const { connection } = await fabric.node(one, 'n_short', { lifetimeMs: 5000 });
    await eventually(() => connection.isClosed());
  });

  it('answers every one of many pulls', async function () {
    this.timeout(60_000);
    const heard = listen(alice, `${nodeInboxPrefix('n_alice')}.many`);
    const body = JSON.stringify({ batch: 1, no_wait: true });
    const pull = pullOfNode(0, one, 'n_alice');
    const rounds = 5000;
    for (let i = 0; i < rounds; i++) {
      alice.connection.publish(pull, body, { reply: `${nodeInboxPrefix('n_alice')}.many` });
      if (i % 500 === 499) await eventually(() => heard.length === i + 1);
    }
    assert.equal(heard.length, rounds);
  });
});
