/**
 * Goal: an agent's own queue is in force, shown, and kept over a restart; what it drops reaches the stream of dead letters.
 * Method: a real node on a real nats-server, stopped or killed and started again.
 */

import assert from 'node:assert/strict';
import { filters, nodeDeadSubject } from '@fleetwire/contract';
import { DeadLetter, Envelope, Stage } from '@fleetwire/gen/message';
import { newMessageId, systemClock } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { entryFor } from './engine-fixture.ts';
import { FakeHub, TEST_ORG } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

describe('an agent’s own queue', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
    node = new TestNode(hub, 'right', { queue_wait_ms: '0' });
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const clock = { nowUs: systemClock.nowUs } as never;
  async function put(name: string, count: number): Promise<string[]> {
    const agent = hub.agents.get(name)!;
    const ids = Array.from({ length: count }, () => newMessageId());
    await hub.put(
      agent,
      ids.map((id) => entryFor(agent.id, clock, { id })),
    );
    return ids;
  }
  const localAgent = async (name: string) =>
    (await node.client().listLocalAgents({})).agents.find((agent) => agent.name === name)!;

  it('is given by a session or with a program, and holds over a restart', async () => {
    await node.start();
    const bob = { messages: 3, bytes: 65_536, drop: 'oldest' };
    await TestSession.open(node.client(), { name: 'bob', queue: bob });
    const run = { name: 'carol', adapter: 'mailbox', command: [], cwd: '', env: {} };
    await node.client().runAgent({ ...run, queue: { messages: 7, bytes: 0, drop: '' } });
    await TestSession.open(node.client(), { name: 'dave' });
    await node.stop();
    await node.start();
    assert.deepEqual((await localAgent('bob')).queue, bob);
    const rest = { bytes: 16 * 1024 * 1024, drop: 'newest' };
    assert.deepEqual((await localAgent('carol')).queue, { messages: 7, ...rest });
    assert.deepEqual((await localAgent('dave')).queue, { messages: 1000, ...rest });
    // What was said before holds where nothing is said.
    await TestSession.open(node.client(), { name: 'bob' });
    assert.deepEqual((await localAgent('bob')).queue, bob);
    await put('carol', 8);
    await eventually(() => hub.receipts.some(({ reason }) => reason === 'QUEUE_FULL'));
    assert.equal((await localAgent('carol')).queueDepth, 7);
  });

  it('is refused where no node would take it', async () => {
    await node.start();
    const queue = { messages: 1_000_000, bytes: 0, drop: '' };
    await assert.rejects(TestSession.open(node.client(), { name: 'bob', queue }), {
      reason: 'INVALID_QUEUE',
    });
    const run = { name: 'carol', adapter: 'mailbox', command: [], cwd: '', env: {} };
    const drop = { messages: 0, bytes: 0, drop: 'all' };
    await assert.rejects(node.client().runAgent({ ...run, queue: drop }), { reason: 'INVALID_QUEUE' });
    assert.equal(hub.agents.size, 0);
  });

  it('drops what is oldest as dead letters, also over a killed node', async () => {
    const letters: { subject: string; letter: DeadLetter }[] = [];
    hub.broker.subscribe(filters.allDead, ({ subject, data }) => {
      letters.push({ subject, letter: DeadLetter.decode(data) });
    });
    await node.spawn();
    const run = { name: 'carol', adapter: 'mailbox', command: [], cwd: '', env: {} };
    await node.client().runAgent({ ...run, queue: { messages: 2, bytes: 0, drop: 'oldest' } });
    const ids = await put('carol', 5);
    // One that is published again after the kill is dropped by its stream.
    const dead = () => new Set(letters.map(({ letter }) => Envelope.decode(letter.envelope).id));
    await eventually(() => dead().size === 3);
    await node.kill();
    ids.push(...(await put('carol', 2)));
    await node.spawn();
    const stored = async () => (await hub.broker.streams.state('DEAD'))?.messages;
    await eventually(async () => (await stored()) === 5 && dead().size === 5);
    assert.deepEqual([...dead()], ids.slice(0, 5));
    assert.ok(letters.every(({ letter }) => letter.reason === 'QUEUE_OVERFLOW'));
    const agent = hub.agents.get('carol')!;
    const subject = nodeDeadSubject.build({ org: TEST_ORG, agent: agent.id, node: agent.node });
    assert.ok(letters.every((one) => one.subject === subject));
    await eventually(() =>
      ids.slice(0, 5).every((id) => hub.receiptsOf(id).some((r) => r.stage === Stage.DEAD)),
    );
    const { deliveries } = await node.client().readInbox({ agent: 'carol', limit: 10 });
    assert.deepEqual(
      deliveries.map(({ id }) => id),
      ids.slice(5),
    );
  });
});
