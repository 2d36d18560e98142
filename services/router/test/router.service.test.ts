/**
 * Goal: through real routers on a real server nothing accepted is lost, order is kept, and what cannot be delivered
 * ends with its reason, whatever dies in between.
 * Method: packs published as nodes do it; then the streams are read and compared with what was sent. Repeats are
 * allowed only as the primary key of a node would drop them: in order.
 */

import assert from 'node:assert/strict';
import {
  DELIVERY_HISTORY,
  deadSubject,
  inboxSubject,
  ingressSubject,
  ROUTES_BUCKET,
  receiptSubject,
  routeKey,
  routerConsumer,
  UNKNOWN_RECIPIENT,
} from '@fleetwire/contract';
import { DeadLetter, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { checkHealth } from '@fleetwire/rpc';
import { eventually } from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import type { RoutesHealth } from '../src/handlers/routes-watch.ts';
import { Fabric } from './fabric.ts';
import { idOf, NODE, nodeRoute, ORG, packOf, route } from './samples.ts';

let fabric: Fabric;

interface Sent {
  readonly id: string;
  readonly from: string;
  readonly to: string;
}

const AGENTS = ['alice', 'bob', 'carol'];
const NODES = ['n_one', 'n_two', 'n_three'];
/** Those of the test that runs. */
const loads: Workload[] = [];

/** Sends from several nodes at once, each in order, until told to stop. */
class Workload {
  readonly sent: Sent[] = [];
  #n = 0;
  #stopped = false;
  readonly #fabric = fabric;
  readonly #running: Promise<void>[];

  constructor(partitions: number) {
    loads.push(this);
    this.#running = NODES.map((node, i) => this.#send(node, i % partitions));
  }

  async #send(node: string, partition: number): Promise<void> {
    while (!this.#stopped) {
      const mail = Array.from({ length: 1 + (this.#n % 4) }, () => {
        const n = ++this.#n;
        return { id: idOf(n), to: AGENTS[n % AGENTS.length]! };
      });
      await this.#fabric.send(partition, node, mail);
      this.sent.push(...mail.map(({ id, to }) => ({ id, to, from: node })));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }
}

/** Every message is there, and those of one sender to one recipient are in order once repeats are dropped. */
async function assertComplete(sent: readonly Sent[], timeoutMs = 30_000): Promise<{ repeats: number }> {
  await eventually(async () => new Set((await fabric.inbox()).map((a) => a.id)).size >= sent.length, {
    timeoutMs,
  });
  const arrived = await fabric.inbox();
  const repeats = arrived.length - new Set(arrived.map((a) => a.id)).size;
  for (const to of AGENTS) {
    const { subject } = route(to);
    const ids = [...new Set(arrived.filter((a) => a.subject === subject).map((a) => a.id))];
    for (const from of NODES) {
      const wanted = sent.filter((s) => s.to === to && s.from === from).map((s) => s.id);
      const mine = new Set(wanted);
      assert.deepEqual(
        ids.filter((id) => mine.has(id)),
        wanted,
        `${from} to ${to}`,
      );
    }
  }
  return { repeats };
}

async function ready(partitions: number, inboxBound?: number): Promise<void> {
  fabric = await Fabric.start(inboxBound === undefined ? { partitions } : { partitions, inboxBound });
  for (const name of AGENTS) await fabric.agent(name);
}

async function receipts() {
  return (await fabric.stream('RECEIPTS')).flatMap(({ data }) => ReceiptBatch.decode(data).receipts);
}

async function deadLetters() {
  return (await fabric.stream('DEAD')).map(({ data }) => DeadLetter.decode(data));
}

describe('routers on a real server', function () {
  this.timeout(90_000);

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(fabric.log.slice(-25).join(''));
    await Promise.all(loads.splice(0).map((load) => load.stop()));
    await fabric[Symbol.asyncDispose]();
  });

  it('keep all mail and its order while one of two is killed mid-stream', async () => {
    await ready(4);
    const victim = fabric.spawnRouter('victim');
    await eventually(
      async () => (await fabric.broker.consumers.list('INGRESS')).filter(isTaken).length === 4,
    );
    await fabric.router('heir');
    const load = new Workload(3);
    await eventually(async () => new Set((await fabric.inbox()).map((a) => a.router)).size === 2);
    victim.kill('SIGKILL');
    const atKill = load.sent.length;
    await eventually(() => load.sent.length > atKill + 500, { timeoutMs: 20_000 });
    await load.stop();
    await assertComplete(load.sent);
    const after = (await fabric.inbox()).at(-1)!;
    assert.equal(after.router, 'router-heir');
  });

  it('keep all mail and its order while the server is killed and comes back', async () => {
    await ready(2);
    await fabric.router('one');
    await fabric.router('two');
    const load = new Workload(2);
    await eventually(() => load.sent.length > 300);
    for (let i = 0; i < 2; i++) {
      await fabric.nats.kill();
      await fabric.nats.restart();
      const before = load.sent.length;
      await eventually(() => load.sent.length > before + 300, { timeoutMs: 20_000 });
    }
    await load.stop();
    await assertComplete(load.sent);
  });

  it('hand partitions over to one that comes, without losing or disordering anything', async () => {
    await ready(4);
    const first = await fabric.router('one');
    await eventually(() => held(first) === 4);
    const load = new Workload(4);
    await eventually(() => load.sent.length > 200);
    const second = await fabric.router('two');
    await eventually(() => held(first) === 2 && held(second) === 2);
    await first.stop();
    await eventually(() => held(second) === 4, { timeoutMs: 20_000 });
    await load.stop();
    await assertComplete(load.sent);
  });

  it('tell the sender of an unknown name, durably, with what it may have meant', async () => {
    await ready(1);
    await fabric.router('one');
    await fabric.send(0, NODE, [
      { id: idOf(1), to: 'alcie' },
      { id: idOf(2), to: 'alice@tower' },
      { id: idOf(3), to: 'alice' },
    ]);
    await eventually(async () => (await receipts()).length === 2);
    await eventually(allAcknowledged);
    const told = await receipts();
    for (const receipt of told) {
      assert.deepEqual([receipt.reason, receipt.stage, receipt.final], ['UNKNOWN_AGENT', Stage.DEAD, true]);
      assert.match(receipt.detail, /did you mean alice/);
    }
    const [first] = await fabric.stream('RECEIPTS');
    assert.equal(first!.subject, receiptSubject.build({ org: ORG, toNode: NODE, from: 'router' }));
    assert.deepEqual(
      (await deadLetters()).map((d) => d.reason),
      ['UNKNOWN_AGENT', 'UNKNOWN_AGENT'],
    );
    assert.deepEqual(
      (await fabric.inbox()).map((a) => a.id),
      [idOf(3)],
    );
    // A name that comes is known at once.
    await fabric.agent('alcie');
    await fabric.send(0, NODE, [{ id: idOf(4), to: 'alcie' }]);
    await eventually(async () => (await fabric.inbox()).some((a) => a.id === idOf(4)));
  });

  it('return what the bound of an inbox refuses, and go on', async () => {
    await ready(1, 3);
    const subject = route('alice').subject;
    for (let i = 0; i < 3; i++) await fabric.broker.store(subject, new Uint8Array(), { msgId: `fill-${i}` });
    await fabric.router('one');
    await fabric.send(0, NODE, [{ id: idOf(1) }, { id: idOf(2), to: 'bob' }]);
    await fabric.send(0, NODE, [{ id: idOf(3) }]);
    await eventually(async () => (await receipts()).length === 2);
    await eventually(allAcknowledged);
    for (const receipt of await receipts()) {
      assert.deepEqual([receipt.reason, receipt.stage], ['INBOX_FULL', Stage.RETURNED]);
      assert.deepEqual([receipt.recipient, receipt.recipientName], ['a_alice', 'alice']);
    }
    assert.deepEqual(
      (await receipts()).map((r) => r.messageId),
      [idOf(1), idOf(3)],
    );
    assert.deepEqual(
      (await fabric.inbox()).map((a) => a.id),
      [idOf(2)],
    );
    await eventually(allAcknowledged);
    await fabric.broker.messages.deleteMessage('INBOX', 1);
    await fabric.send(0, NODE, [{ id: idOf(4) }]);
    const there = await eventually(() => fabric.broker.messages.lastBySubject('INBOX', subject));
    await eventually(async () => (await fabric.broker.messages.get('INBOX', there.sequence)) !== undefined);
    await eventually(allAcknowledged);
    assert.equal((await receipts()).length, 2);
  });

  it('dead-letter forged senders and unreadable bytes, and go on with the rest', async () => {
    await ready(1);
    await fabric.router('one');
    await fabric.send(0, NODE, [{ id: idOf(1), fromNode: 'n_victim' }]);
    await fabric.send(0, NODE, [{ id: idOf(2), org: 'o_other' }]);
    await fabric.sendBytes(0, NODE, new TextEncoder().encode('no protobuf at all'));
    await fabric.sendBytes(0, NODE, new Uint8Array([10, 2, 255, 255]));
    await fabric.send(0, NODE, [{ id: idOf(3) }]);
    await eventually(async () => (await fabric.inbox()).length === 1);
    await eventually(allAcknowledged);
    const dead = await deadLetters();
    const reasons = ['ENVELOPE_UNREADABLE', 'ENVELOPE_UNREADABLE', 'FORGED_SENDER', 'FORGED_SENDER'];
    assert.deepEqual(dead.map((d) => d.reason).sort(), reasons);
    assert.ok(dead.every((d) => d.subject === ingressSubject.build({ partition: 0, org: ORG, node: NODE })));
    assert.deepEqual(await receipts(), []);
    assert.deepEqual(
      (await fabric.inbox()).map((a) => a.id),
      [idOf(3)],
    );
  });

  it('dead-letter what comes on a subject that is none of the contract, and go on', async () => {
    await ready(1);
    const running = await fabric.router('one');
    const stray = [`${ingressSubject.build({ partition: 0, org: 'x', node: 'y' }).slice(0, -3)}ORG.Node`];
    stray.push(`${stray[0]}.deeper`);
    for (const subject of stray) await fabric.broker.store(subject, packOf([{}]), { msgId: subject });
    await fabric.send(0, NODE, [{ id: idOf(2) }]);
    await eventually(async () => (await fabric.inbox()).length === 1);
    await eventually(allAcknowledged);
    assert.deepEqual(
      (await deadLetters()).map((d) => [d.reason, d.subject, d.decoded]),
      stray.map((subject) => ['ENVELOPE_UNREADABLE', subject, false]),
    );
    const expected = deadSubject.build({ org: UNKNOWN_RECIPIENT, agent: UNKNOWN_RECIPIENT });
    for (const { subject } of await fabric.stream('DEAD')) assert.equal(subject, expected);
    assert.deepEqual(await receipts(), []);
    const [now] = running.health()['partitions'] as { dead: number; epoch: number; restarts: number }[];
    assert.deepEqual([now!.dead, now!.restarts], [2, 0]);
  });

  it('tell of a partition that restarts in vain, once, and when it gets on again', async () => {
    await ready(1);
    await fabric.broker.consumers.create(routerConsumer(0, 1000));
    const running = await fabric.router('one', { FLEETWIRE_ROUTER_RESTART_MAX_MS: '100' });
    const told = () => fabric.log.filter((line) => line.includes('again and again')).length;
    const status = () => checkHealth({ address: running.address, deadlineMs: 1000 });
    await eventually(status);
    await eventually(async () => !(await status()), { timeoutMs: 20_000 });
    assert.equal(running.health()['stuck'], 1);
    assert.equal(told(), 1);
    await fabric.broker.consumers.remove('INGRESS', 'router-p0-e1000');
    await eventually(async () => await status(), { timeoutMs: 20_000 });
    await fabric.send(0, NODE, [{ id: idOf(1) }]);
    await eventually(async () => (await fabric.inbox()).length === 1);
    assert.equal(running.health()['stuck'], 0);
    assert.equal(told(), 1);
  });

  it('remove a durable that a paused router has made behind their back, as it would keep all mail in ingress', async () => {
    await ready(1);
    const running = await fabric.router('one', { FLEETWIRE_ROUTER_STRAY_DURABLES_MS: '50' });
    await eventually(() => held(running) === 1);
    // Nothing else keeps what the router has acknowledged.
    await fabric.broker.consumers.remove('INGRESS', DELIVERY_HISTORY.durable_name);
    await fabric.broker.consumers.create(routerConsumer(0, 0));
    await fabric.send(0, NODE, [{ id: idOf(1) }]);
    await eventually(
      async () => (await fabric.broker.consumers.list('INGRESS')).filter(isStray).length === 0,
    );
    await eventually(async () => (await fabric.broker.streams.state('INGRESS'))!.messages === 0);
    assert.equal((await fabric.inbox()).length, 1);
    assert.equal(held(running), 1);
  });

  it('give what asks for a capability to one live agent each, evenly, and say when there is none', async () => {
    await ready(1);
    await fabric.router('one');
    const can = { capabilities: ['review'] };
    const subjects = [
      await fabric.agent('dora', { ...can, node: 'n_one', nodeName: 'one' }),
      await fabric.agent('emil', { ...can, node: 'n_two', nodeName: 'two' }),
    ];
    for (const node of ['n_one', 'n_two']) await fabric.node(nodeRoute(node, { online: false }));
    await fabric.send(0, NODE, [{ id: idOf(900), to: '?review' }]);
    await eventually(async () => (await receipts()).length === 1);
    const [told] = await receipts();
    assert.deepEqual([told!.reason, told!.stage], ['NO_CAPABLE_AGENT', Stage.DEAD]);
    assert.match(told!.detail, /2 on nodes that are offline/);
    assert.deepEqual(
      (await deadLetters()).map((d) => d.reason),
      ['NO_CAPABLE_AGENT'],
    );
    for (const node of ['n_one', 'n_two']) await fabric.node(nodeRoute(node, { epoch: 2 }));
    const all = Array.from({ length: 100 }, (_, n) => idOf(n + 1));
    for (let i = 0; i < 100; i += 20)
      await fabric.send(
        0,
        NODE,
        all.slice(i, i + 20).map((id) => ({ id, to: '?Review' })),
      );
    await eventually(async () => (await fabric.inbox()).length === 100);
    const arrived = await fabric.inbox();
    assert.deepEqual(arrived.map((a) => a.id).toSorted(), all);
    for (const subject of subjects) assert.equal(arrived.filter((a) => a.subject === subject).length, 50);
  });

  it('read the whole table again when the watch has lost its place, and drop what went meanwhile', async () => {
    await ready(1);
    const running = await fabric.router('one');
    const health = () => running.health() as { routes: number; watch: RoutesHealth };
    assert.deepEqual([health().routes, health().watch.resyncs], [3, 0]);
    const bucket = await fabric.broker.bucket(ROUTES_BUCKET);
    for (const name of await fabric.broker.consumers.list('KV_fw-routes' as never)) {
      await fabric.broker.consumers.remove('KV_fw-routes' as never, name);
    }
    await bucket.delete(routeKey(ORG, 'a_bob'));
    await fabric.agent('dora');
    await eventually(() => health().watch.resyncs >= 1 && !health().watch.reading && health().routes === 3, {
      timeoutMs: 30_000,
    });
    await fabric.send(0, NODE, [
      { id: idOf(1), to: 'bob' },
      { id: idOf(2), to: 'dora' },
    ]);
    await eventually(async () => (await receipts()).length === 1 && (await fabric.inbox()).length === 1);
    assert.equal((await receipts())[0]!.reason, 'UNKNOWN_AGENT');
    assert.equal((await fabric.inbox())[0]!.id, idOf(2));
    assert.ok(health().watch.revision > 0 && health().watch.heard_ms < 10_000);
  });

  it('refuse to start where a partition has no durable, since its mail was not kept', async () => {
    await ready(2);
    await fabric.broker.consumers.remove('INGRESS', 'router-p1-e0');
    await assert.rejects(fabric.router('one'), { reason: 'PARTITION_UNCONSUMED' });
  });

  it('write inbox subjects that name the agent by its id', async () => {
    await ready(1);
    await fabric.router('one');
    await fabric.send(0, NODE, [{ id: idOf(1), to: 'ALICE@laptop' }]);
    const [arrived] = await eventually(async () => {
      const all = await fabric.inbox();
      return all.length > 0 ? all : undefined;
    });
    const parts = { shard: 0, org: ORG, node: 'n_laptop', agent: 'a_alice' };
    assert.equal(arrived!.subject, inboxSubject.build(parts));
  });
});

function isStray(name: string): boolean {
  return name === 'router-p0-e0';
}

function isTaken(name: string): boolean {
  return name.startsWith('router-p') && !name.endsWith('-e0');
}

function held(running: { health(): Record<string, unknown> }): number {
  const partitions = running.health()['partitions'] as { state: string }[];
  return partitions.filter((p) => p.state === 'routing').length;
}

async function allAcknowledged(): Promise<boolean> {
  const [durable] = (await fabric.broker.consumers.list('INGRESS')).filter(isTaken);
  const info = await fabric.broker.consumers.info('INGRESS', durable!);
  return info !== undefined && info.numPending === 0 && info.numAckPending === 0;
}
