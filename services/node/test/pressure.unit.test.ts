/**
 * Goal: a queue that fills up is told to the nodes that send to it, one that empties too, and one that is gone says nothing.
 * Method: an engine over a real database file; frames are noted where the hub link would send them.
 */

import assert from 'node:assert/strict';
import type { PeerFrame } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { confirmed } from '../src/domain/receipt.ts';
import {
  addAgent,
  entryFor,
  hold,
  NODE,
  OTHER_NODE,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

describe('pressure', () => {
  let test: TestEngine;
  let bob: HostedAgent;
  let frames: { to: string; frame: PeerFrame }[];
  beforeEach(async () => {
    test = await testEngine({ queue_messages: 10, ready_jitter_ms: 1, busy_retry_ms: 200 });
    bob = await addAgent(test.engine, 'bob');
    frames = [];
    test.engine.outgoings.current = {
      ...test.engine.outgoings.current,
      frame: (to, frame) => frames.push({ to, frame }),
    };
  });
  afterEach(async () => {
    test.engine.pressure.stop();
    await test.close();
  });

  const hear = (node: string) => test.engine.turns.run(() => test.engine.pressure.heard(bob, node));
  async function fill(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await hold(test, bob, entryFor(bob.id, test.clock));
  }
  const busy = () => frames.flatMap(({ to, frame }) => (frame.busy ? [{ to, ...frame.busy }] : []));
  const ready = () => frames.flatMap(({ to, frame }) => (frame.ready ? [{ to, ...frame.ready }] : []));
  async function confirm(taker: TestTaker, count: number): Promise<void> {
    await test.engine.turns.run(() => test.engine.custody.end(taker.taken.splice(0, count), confirmed()));
  }

  it('is not told of a queue that drops its oldest: what is new is wanted there', async () => {
    bob.queue.bounds = { ...bob.queue.bounds, drop: 'oldest' };
    await hear(OTHER_NODE);
    await fill(12);
    assert.deepEqual([bob.busy, frames.length], [false, 0]);
  });

  it('is told at 80 percent to other nodes that send, again while it lasts, and released at 20', async () => {
    const taker = new TestTaker();
    bob.taker = taker;
    await hear(OTHER_NODE);
    await hear(NODE);
    await fill(7);
    assert.deepEqual([bob.busy, frames.length], [false, 0]);
    await fill(1);
    assert.equal(bob.busy, true);
    const { seq, ...said } = busy()[0]!;
    const about = { agent: bob.id, name: 'bob', node: NODE, nodeName: 'here' };
    assert.deepEqual(said, {
      to: OTHER_NODE,
      ...about,
      queueDepth: 8,
      reason: 'queue_full',
      retryAfterMs: 200,
    });
    await eventually(() => busy().length >= 3);
    assert.ok(busy().every((frame) => frame.to === OTHER_NODE));
    await confirm(taker, 5);
    assert.deepEqual([bob.busy, ready().length], [true, 0]);
    await confirm(taker, 1);
    assert.equal(bob.busy, false);
    await eventually(() => ready().length === 1);
    const { seq: later, ...goOn } = ready()[0]!;
    assert.deepEqual(goOn, { to: OTHER_NODE, ...about, credits: 8 });
    assert.ok(later > seq);
  });

  it('is told at once to who begins to send meanwhile', async () => {
    await fill(8);
    assert.equal(frames.length, 0);
    await hear(OTHER_NODE);
    assert.deepEqual(
      busy().map(({ to }) => to),
      [OTHER_NODE],
    );
  });

  it('is not told any more of an agent that is removed', async () => {
    await hear(OTHER_NODE);
    await fill(9);
    const before = frames.length;
    await test.engine.turns.run(() => {
      test.engine.custody.endRemoved(bob);
      test.engine.tables.agents.markRemoved(bob.num);
      test.engine.book.markRemoved(bob);
    });
    // Another agent's frames come after whatever this one would still have said.
    const carol = await addAgent(test.engine, 'carol');
    await test.engine.turns.run(() => test.engine.pressure.heard(carol, OTHER_NODE));
    for (let i = 0; i < 9; i++) await hold(test, carol, entryFor(carol.id, test.clock));
    await eventually(() => busy().filter(({ name }) => name === 'carol').length >= 4);
    assert.deepEqual(
      frames.slice(before).filter(({ frame }) => (frame.busy ?? frame.ready)?.name === 'bob'),
      [],
    );
  });
});
