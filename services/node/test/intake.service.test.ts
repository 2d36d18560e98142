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

  /** Puts one pack into the inbox of bob; gives the ids in order. */
  async function putPack(count: number): Promise<string[]> {
    const agent = hub.agents.get('bob')!;
    const ids = Array.from({ length: count }, () => newMessageId());
    const clock = { nowUs: systemClock.nowUs } as never;
    await hub.put(
      agent,
      ids.map((id) => entryFor(agent.id, clock, { id })),
    );
    return ids;
  }

  async function assertAllDelivered(bob: TestSession, ids: readonly string[]): Promise<void> {
    await eventually(() => bob.deliveries.length >= ids.length, { timeoutMs: 30_000 });
    assert.deepEqual(
      bob.deliveries.map(({ id }) => id),
      ids,
    );
    await eventually(() => ids.every((id) => hub.receiptsOf(id).some(({ final }) => final)));
    assert.deepEqual([...new Set(ids.flatMap((id) => hub.receiptsOf(id)).map(({ reason }) => reason))], ['']);
  }

  it('waits within the pack while the agent takes its mail up', async () => {
    const bob = await TestSession.open(node.client(), { name: 'bob', window: 4 });
    await assertAllDelivered(bob, [...(await putPack(150)), ...(await putPack(QUEUE + 1))]);
  });

  it('does not return the rest when the broker dies meanwhile', async () => {
    const bob = await TestSession.open(node.client(), { name: 'bob', window: QUEUE }, false);
    const ids = await putPack(3 * QUEUE);
    await eventually(() => bob.deliveries.length === QUEUE);
    await hub.nats.kill();
    await hub.nats.restart();
    bob.acking = true;
    bob.ack(bob.deliveries.at(-1)!.sequence);
    await assertAllDelivered(bob, ids);
  });
});
