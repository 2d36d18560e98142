/**
 * Goal: a pack that is larger than its recipient's queue is handed over whole, once and in order, nothing returned.
 * Method: a real node on a real nats-server; packs as a router would write them are put into its inbox; the agent
 * takes its mail up, or takes none while the broker is killed.
 */

import assert from 'node:assert/strict';
import { newMessageId, systemClock } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { entryFor } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

const QUEUE = 20;

describe('intake of more than the queue holds', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
    node = await new TestNode(hub, 'right', { queue_messages: String(QUEUE), queue_wait_ms: '5000' }).start();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const clock = { nowUs: systemClock.nowUs } as never;
  const idOf = (name: string) => hub.agents.get(name)!.id;

  /** Puts one pack with a message for each of `names` into the inbox of the node; gives the ids in order. */
  async function put(...names: readonly string[]): Promise<string[]> {
    const ids = names.map(() => newMessageId());
    const entries = names.map((name, i) => entryFor(idOf(name), clock, { id: ids[i]! }));
    await hub.put(hub.agents.get(names[0]!)!, entries);
    return ids;
  }
  const putPack = (count: number) => put(...Array.from({ length: count }, () => 'bob'));

  async function assertDelivered(bob: TestSession, ids: readonly string[]): Promise<void> {
    await eventually(() => bob.deliveries.length >= ids.length, { timeoutMs: 30_000 }).catch(() => undefined);
    assert.deepEqual(
      bob.deliveries.map(({ id }) => id),
      ids,
    );
  }

  async function assertAllDelivered(bob: TestSession, ids: readonly string[]): Promise<void> {
    await assertDelivered(bob, ids);
    await eventually(() => ids.every((id) => hub.receiptsOf(id).some(({ final }) => final)));
    assert.deepEqual([...new Set(ids.flatMap((id) => hub.receiptsOf(id)).map(({ reason }) => reason))], ['']);
  }

  it('waits within the pack while the agent takes its mail up', async () => {
    const bob = await TestSession.open(node.client(), { name: 'bob', window: 4 });
    await assertAllDelivered(bob, [...(await putPack(150)), ...(await putPack(QUEUE + 1))]);
    // What was held is acknowledged: the stream keeps none of it.
    await eventually(async () => (await hub.broker.streams.state('INBOX'))?.messages === 0);
  });

  it('does not return the rest when the broker dies meanwhile', async () => {
    const bob = await TestSession.open(node.client(), { name: 'bob', window: QUEUE }, false);
    const ids = await putPack(3 * QUEUE);
    await eventually(() => bob.deliveries.length === QUEUE);
    await hub.nats.kill();
    await eventually(() => !hub.broker.connected());
    bob.acking = true;
    bob.ack(bob.deliveries.at(-1)!.sequence);
    await hub.nats.restart();
    await assertDelivered(bob, ids);
  });

  it('does not hold up or return the mail of others for a full queue', async () => {
    const alice = await TestSession.open(node.client(), { name: 'alice', window: QUEUE }, false);
    const bob = await TestSession.open(node.client(), { name: 'bob', window: 4 });
    await put(...Array.from({ length: QUEUE }, () => 'alice'));
    await eventually(() => alice.deliveries.length === QUEUE);
    const many = Array.from({ length: 150 }, () => 'bob');
    const [first, ...ids] = await put('alice', ...many);
    await assertAllDelivered(bob, ids);
    await eventually(() => hub.receiptsOf(first!).some(({ reason }) => reason === 'QUEUE_FULL'));
  });

  it('waits for room in bytes as well', async () => {
    await node.stop();
    await node.start({ queue_bytes: '1048576' });
    const bob = await TestSession.open(node.client(), { name: 'bob' });
    const body = new Uint8Array(600_000);
    const ids = Array.from({ length: 5 }, () => newMessageId());
    for (const id of ids) await hub.put(hub.agents.get('bob')!, [entryFor(idOf('bob'), clock, { id, body })]);
    await assertAllDelivered(bob, ids);
  });
});
