/**
 * Goal: a question and its taking back reach the other node in every state: on its way, waiting, handed over, its program away.
 * Method: real nodes on a real nats-server with the small hub; clients of the SDK in this process.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stage } from '@fleetwire/gen/message';
import { type Agent, type ConnectOptions, connect, type Message } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { FakeHub } from './fake-hub.ts';
import { TestNode } from './test-node.ts';

describe('questions between nodes', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let left: TestNode;
  let right: TestNode;
  let agents: Agent[];
  beforeEach(async () => {
    hub = await FakeHub.start();
    left = await new TestNode(hub, 'left').start();
    right = new TestNode(hub, 'right');
    agents = [];
  });
  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.close()));
    for (const node of [left, right]) await node.dispose();
    await hub.stop();
  });

  async function attach(node: TestNode, name: string, more: ConnectOptions = {}): Promise<Agent> {
    const file = join(node.folder.path, 'node.json');
    const address = (): string => JSON.parse(readFileSync(file, 'utf8')).address;
    const token = readFileSync(join(node.folder.path, 'admin-token'), 'utf8').trim();
    const agent = await connect({ address, token, name, ...more });
    agents.push(agent);
    return agent;
  }
  /** All that comes, acknowledged at once. */
  function collect(agent: Agent): Message[] {
    const seen: Message[] = [];
    void (async () => {
      for await (const message of agent.messages()) {
        message.ack();
        seen.push(message);
      }
    })().catch(() => undefined);
    return seen;
  }
  const endOf = (id: string) => hub.receipts.find((r) => r.messageId === id && r.final);

  it('are told to who is at work on the answer, and the answer that comes all the same is mail', async () => {
    await right.start();
    const alice = await attach(left, 'alice');
    const bob = await attach(right, 'bob', { window: 1 });
    const [ofAlice, ofBob] = [collect(alice), collect(bob)];
    const stop = new AbortController();
    const answer = alice.ask('bob', 'why?', { timeoutMs: 60_000, signal: stop.signal });
    const question = await eventually(() => ofBob[0]);
    assert(question.deadline!.getTime() > Date.now() + 30_000);
    assert.equal(question.signal.aborted, false);
    stop.abort();
    await assert.rejects(answer, { reason: 'ASK_CANCELLED' });
    await eventually(() => question.signal.aborted);
    assert.equal(question.signal.reason.reason, 'ASK_CANCELLED');
    await bob.reply(question, 'because');
    await eventually(() => ofAlice[0]?.text === 'because');
    assert.equal(ofAlice[0]!.replyTo, question.id);
    assert.equal(ofBob.length, 1, 'the taking back is no mail');
  });

  it('are withdrawn while they wait for an agent that reads nothing', async () => {
    await right.start();
    const alice = await attach(left, 'alice');
    const bob = await attach(right, 'bob', { window: 1 });
    await alice.send('bob', 'in the way');
    const stop = new AbortController();
    const id = '01j0000000000000000000000a';
    const answer = alice.ask('bob', 'why?', { id, signal: stop.signal });
    await alice.send('bob', 'behind it');
    await eventually(async () => {
      const { agents: local } = await right.client().listLocalAgents({});
      return local.find((one) => one.name === 'bob')?.queueDepth === 3;
    });
    stop.abort();
    await assert.rejects(answer, { reason: 'ASK_CANCELLED' });
    const end = await eventually(() => endOf(id));
    assert.deepEqual([end.stage, end.reason], [Stage.RETURNED, 'CANCELLED']);
    const ofBob = collect(bob);
    await eventually(() => ofBob.length === 2);
    assert.deepEqual(
      ofBob.map((message) => message.text),
      ['in the way', 'behind it'],
    );
  });

  it('fail at once when they come back, and when their recipient is gone', async () => {
    await right.start();
    const alice = await attach(left, 'alice');
    const bob = await attach(right, 'bob', { queue: { messages: 1 }, window: 1 });
    await alice.send('bob', 'fills the queue');
    await eventually(async () => (await right.client().nodeStatus({})).inboxDepth === 1);
    await assert.rejects(alice.ask('bob', 'why?'), { kind: 'resource_exhausted', reason: 'QUEUE_FULL' });
    const ofBob = collect(bob);
    await eventually(() => ofBob.length === 1);
    await bob.close();
    const gone = { kind: 'not_found', reason: 'AGENT_REMOVED' };
    const waiting = assert.rejects(alice.ask('bob', 'and now?'), gone);
    await eventually(async () => (await right.client().nodeStatus({})).inboxDepth === 1);
    await right.client().stopAgent({ name: 'bob' });
    await waiting;
  });

  it('are taken back over a killed node, and are told to a program once it is back', async () => {
    await right.spawn();
    const alice = await attach(left, 'alice');
    const ofBob = collect(await attach(right, 'bob'));
    const [stop, other] = [new AbortController(), new AbortController()];
    const taken = alice.ask('bob', 'taken before the kill', { signal: stop.signal });
    const question = await eventually(() => ofBob[0]);
    await right.kill();
    const unsent = alice.ask('bob', 'while the node was away', { signal: other.signal });
    const gone = Promise.all([taken, unsent].map((ask) => assert.rejects(ask, { reason: 'ASK_CANCELLED' })));
    stop.abort();
    other.abort();
    await gone;
    await alice.send('bob', 'after all of it');
    await right.spawn();
    await eventually(() => question.signal.aborted, { timeoutMs: 30_000 });
    await eventually(() => ofBob.at(-1)?.text === 'after all of it', { timeoutMs: 30_000 });
    const others = ofBob.slice(1, -1);
    // It may have come before the word that took it back.
    assert(others.every((message) => message.text === 'while the node was away' && message.signal.aborted));
  });

  it('of one node need no hub, and those for elsewhere do not leave once they were taken back', async () => {
    await right.start();
    const alice = await attach(left, 'alice');
    const ofCarol = collect(await attach(left, 'carol'));
    const ofBob = collect(await attach(right, 'bob'));
    process.kill(hub.nats.server.pid, 'SIGSTOP');
    const id = '01j0000000000000000000000b';
    try {
      const local = new AbortController();
      const asked = alice.ask('carol', 'here?', { signal: local.signal });
      const question = await eventually(() => ofCarol[0]);
      local.abort();
      await assert.rejects(asked, { reason: 'ASK_CANCELLED' });
      await eventually(() => question.signal.aborted);
      // On its way from now on, for as long as nobody stores it.
      await alice.send('bob', 'under way');
      const far = new AbortController();
      const waits = alice.ask('bob', 'still here', { id, signal: far.signal });
      await alice.send('bob', 'behind it');
      far.abort();
      await assert.rejects(waits, { reason: 'ASK_CANCELLED' });
      await alice.send('bob', 'at last');
    } finally {
      process.kill(hub.nats.server.pid, 'SIGCONT');
    }
    await eventually(() => ofBob.at(-1)?.text === 'at last', { timeoutMs: 30_000 });
    assert.deepEqual(
      ofBob.map((message) => message.text),
      ['under way', 'behind it', 'at last'],
    );
    const end = await eventually(() => endOf(id));
    assert.deepEqual([end.stage, end.reason, end.hops.length], [Stage.RETURNED, 'CANCELLED', 2]);
  });
});
