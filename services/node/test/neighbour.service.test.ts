/**
 * Goal: an agent that takes nothing up holds no other agent of its node up, whatever waits for it; those who send to it are
 * told to hold back, and to go on once it works again; nothing of its mail is lost meanwhile.
 * Method: a real node on a real nats-server, killed once; packs as a router would write them, for both agents in turn.
 */

import assert from 'node:assert/strict';
import type { Priority } from '@fleetwire/gen/message';
import { newMessageId, systemClock } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { entryFor, OTHER_NODE } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { type HeardFrame, hearFrames } from './heard-frames.ts';
import { TestNode, TestSession } from './test-node.ts';

const QUEUE = 10;
/** Longer than the test: what waits in the overflow stays there until its agent has room. */
const WAIT = '5000';

describe('an agent that takes nothing up', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  let heard: readonly HeardFrame[];
  const settings = {
    queue_messages: String(QUEUE),
    queue_wait_ms: WAIT,
    return_ms: '60000',
    ready_jitter_ms: '1',
    busy_retry_ms: '500',
  };
  beforeEach(async () => {
    hub = await FakeHub.start();
    heard = hearFrames(hub.broker);
    node = new TestNode(hub, 'right', settings);
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const clock = { nowUs: systemClock.nowUs } as never;

  /** One pack with a message for each of `names`, in the inbox of the node; gives the ids in order. */
  async function put(...names: readonly string[]): Promise<string[]> {
    const ids = names.map(() => newMessageId());
    const entries = names.map((name, i) => entryFor(hub.agents.get(name)!.id, clock, { id: ids[i]! }));
    await hub.put(hub.agents.get(names[0]!)!, entries);
    return ids;
  }
  const many = (name: string, count: number) => Array.from({ length: count }, () => name);
  const finals = (ids: readonly string[]) =>
    ids.filter((id) => hub.receiptsOf(id).some(({ final }) => final));
  const frames = () => heard.filter(({ frame }) => (frame.busy ?? frame.ready)?.name === 'stopped');
  const busy = () => frames().filter(({ frame }) => frame.busy !== undefined);
  const ready = () => frames().filter(({ frame }) => frame.ready !== undefined);

  it('does not hold up its neighbour, and is told to its senders', async () => {
    await node.start();
    const stopped = await TestSession.open(node.client(), { name: 'stopped', window: 4 }, false);
    await TestSession.open(node.client(), { name: 'neighbour', window: 4 });
    const forStopped = await put(...many('stopped', QUEUE));
    await eventually(() => stopped.deliveries.length === 4);
    const mixed: string[] = [];
    for (let round = 0; round < 20; round++) {
      forStopped.push(...(await put('stopped')));
      const [waits, ...rest] = await put('stopped', ...many('neighbour', 5));
      forStopped.push(waits!);
      mixed.push(...rest);
    }
    await eventually(() => finals(mixed).length === mixed.length);
    // All of the neighbour's has ended before anything of the other's: its queue is full, and 40 more wait.
    assert.deepEqual(finals(forStopped), []);
    assert.ok(busy().some(({ to }) => to === OTHER_NODE));
    assert.equal(ready().length, 0);
    stopped.acking = true;
    stopped.ack(stopped.deliveries.at(-1)!.sequence);
    await eventually(() => finals(forStopped).length === forStopped.length);
    assert.deepEqual(
      stopped.deliveries.map(({ id }) => id),
      forStopped,
    );
    await eventually(() => ready().some(({ to, frame }) => to === OTHER_NODE && frame.ready!.credits >= 1));
    const seqs = frames().map(({ frame }) => (frame.busy ?? frame.ready)!.seq);
    assert.ok(seqs.every((seq, i) => i === 0 || seq > seqs[i - 1]!));
    await eventually(async () => (await hub.broker.streams.state('INBOX'))?.messages === 0);
  });

  it('gets what waited, in order and once, after the node was killed', async () => {
    await node.spawn();
    const hello = { name: 'stopped', window: 4, resuming: true };
    const before = await TestSession.open(node.client(), hello, false);
    const ids = await put(...many('stopped', QUEUE));
    await eventually(() => before.deliveries.length === 4);
    for (let i = 0; i < 5; i++) ids.push(...(await put(...many('stopped', 3))));
    await eventually(async () => (await hub.broker.streams.state('INBOX'))?.messages === 5);
    await node.kill();
    await node.spawn();
    const upTo = before.deliveries.at(1)!.sequence;
    const after = await TestSession.open(node.client(), { ...hello, resume: { upTo, also: [] } });
    await eventually(() => finals(ids).length === ids.length, { timeoutMs: 20_000 });
    assert.deepEqual(
      after.deliveries.map(({ id }) => id),
      ids.slice(2),
    );
    assert.deepEqual([...new Set(ids.flatMap((id) => hub.receiptsOf(id)).map(({ reason }) => reason))], ['']);
  });

  it('hands urgent mail over first, once it works', async () => {
    await node.start();
    const bob = await TestSession.open(node.client(), { name: 'bob', window: 1 }, false);
    const agent = hub.agents.get('bob')!;
    const ids = ([2, 1, 3, 2, 4] as Priority[]).map((priority) => ({ id: newMessageId(), priority }));
    await hub.put(agent, [entryFor(agent.id, clock, ids[0]!)]);
    await eventually(() => bob.deliveries.length === 1);
    const entries = ids.slice(1).map((more) => entryFor(agent.id, clock, more));
    await hub.put(agent, entries);
    const client = node.client();
    await eventually(async () => (await client.listLocalAgents({})).agents[0]!.queueDepth === 5);
    bob.acking = true;
    bob.ack(bob.deliveries[0]!.sequence);
    await eventually(() => finals(ids.map(({ id }) => id)).length === 5);
    assert.deepEqual(
      bob.deliveries.map(({ priority }) => priority),
      [2, 4, 3, 2, 1],
    );
    const numbers = bob.deliveries.map(({ sequence }) => sequence);
    assert.ok(numbers.every((number, i) => i === 0 || number > numbers[i - 1]!));
  });
});
