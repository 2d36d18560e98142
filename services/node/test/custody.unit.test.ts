/**
 * Goal: what is committed is there after a crash, is handed over once and in order, and every end has its receipt.
 * Method: a real database file, closed without notice and opened again; the taker only remembers.
 */

import assert from 'node:assert/strict';
import { Envelope, Stage } from '@fleetwire/gen/message';
import { NORMAL_LEVEL, newMessageId } from '@fleetwire/kernel';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { confirmed } from '../src/domain/receipt.ts';
import {
  addAgent,
  entryFor,
  hold,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

describe('custody', () => {
  let test: TestEngine;
  beforeEach(async () => {
    test = await testEngine({ queue_messages: 5, queue_bytes: 1024 * 1024 });
  });
  afterEach(() => test.close());

  it('holds a message once, however often it comes, also after a crash', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const entry = entryFor(bob.id, test.clock);
    assert.equal(await hold(test, bob, entry), 'held');
    assert.equal(await hold(test, bob, entry), 'repeated');
    test = await test.crash();
    const again = test.engine.book.named('bob');
    assert.equal(again.queue.depth, 1);
    assert.equal(await hold(test, again, entry), 'repeated');
  });

  it('does not take the message of another sender for a repetition, because its id is the same', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const id = newMessageId();
    const [first, second] = ['a_0000000000000aaa', 'a_0000000000000bbb'].map((fromAgent) =>
      entryFor(bob.id, test.clock, { id, fromAgent }),
    );
    assert.equal(await hold(test, bob, first!), 'held');
    assert.equal(await hold(test, bob, second!), 'held');
    assert.equal(await hold(test, bob, first!), 'repeated');
    assert.equal(await hold(test, bob, second!), 'repeated');
    assert.equal(bob.queue.depth, 2);
  });

  it('knows a repetition of what has ended', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const taker = new TestTaker();
    bob.taker = taker;
    const entry = entryFor(bob.id, test.clock);
    await hold(test, bob, entry);
    await test.engine.turns.run(() => test.engine.custody.end(taker.taken, confirmed()));
    assert.equal(await hold(test, bob, entry), 'repeated');
    assert.equal(bob.queue.depth, 0);
    const receipts = receiptsFor(test.engine, OTHER_NODE);
    assert.deepEqual(
      receipts.map((r) => [r.stage, r.final, r.hops.map((h) => h.stage)]),
      [[Stage.CONFIRMED, true, [Stage.ACCEPTED, Stage.ROUTED, Stage.HELD, Stage.CONFIRMED]]],
    );
  });

  it('takes a message in anew by a later attempt, once, and says in its receipts which one it was', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const taker = new TestTaker();
    bob.taker = taker;
    const id = newMessageId();
    const attempt = (number: number) => entryFor(bob.id, test.clock, { id, attempt: number });
    await hold(test, bob, attempt(0));
    await test.engine.turns.run(() => test.engine.custody.end(taker.taken, confirmed()));
    bob.taker = undefined;
    assert.equal(await hold(test, bob, attempt(2)), 'held');
    for (const known of [0, 1, 2]) assert.equal(await hold(test, bob, attempt(known)), 'repeated');
    test = await test.crash();
    const again = test.engine.book.named('bob');
    for (const known of [0, 1, 2]) assert.equal(await hold(test, again, attempt(known)), 'repeated');
    assert.equal(again.queue.depth, 1);
    assert.equal(await hold(test, again, attempt(3)), 'held');
    const next = new TestTaker();
    again.taker = next;
    await test.engine.turns.run(() => test.engine.custody.touch(again));
    await test.engine.turns.run(() => test.engine.custody.end(next.taken, confirmed()));
    assert.deepEqual(
      receiptsFor(test.engine, OTHER_NODE)
        .filter(({ final }) => final)
        .map((r) => [r.attempt, r.hops.map((h) => h.attempt)]),
      [0, 2, 3].map((n) => [n, [0, n, n, n]]),
    );
  });

  it('keeps the order across a crash, with the bodies', async () => {
    const bob = await addAgent(test.engine, 'bob');
    for (const text of ['1', '2', '3'])
      await hold(test, bob, entryFor(bob.id, test.clock, { body: new TextEncoder().encode(text) }));
    test = await test.crash();
    const taker = new TestTaker();
    const again = test.engine.book.named('bob');
    again.taker = taker;
    await test.engine.turns.run(() => test.engine.custody.touch(again));
    const texts = taker.taken.map((e) => Buffer.from(test.engine.custody.envelopeOf(e).body).toString());
    assert.deepEqual(texts, ['1', '2', '3']);
  });

  it('returns what does not fit, with the receipt in the same transaction', async () => {
    const bob = await addAgent(test.engine, 'bob');
    for (let i = 0; i < 5; i++) assert.equal(await hold(test, bob, entryFor(bob.id, test.clock)), 'held');
    assert.equal(await hold(test, bob, entryFor(bob.id, test.clock)), 'ended');
    test = await test.crash();
    assert.equal(test.engine.book.named('bob').queue.depth, 5);
    const [receipt] = receiptsFor(test.engine, OTHER_NODE);
    assert.equal(receipt?.stage, Stage.RETURNED);
    assert.equal(receipt?.reason, 'QUEUE_FULL');
  });

  it('bounds the queue in bytes, but takes one large message', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const body = new Uint8Array(900_000);
    assert.equal(await hold(test, bob, entryFor(bob.id, test.clock, { body })), 'held');
    assert.equal(await hold(test, bob, entryFor(bob.id, test.clock, { body })), 'ended');
  });

  it('records an attempt before it is made, and never makes it again by itself', async () => {
    const bob = await addAgent(test.engine, 'bob', 'tmux');
    let recordedAtAttempt = 0;
    const taker = new TestTaker(1);
    const deliver = taker.deliver.bind(taker);
    taker.deliver = (entries) => {
      const row = test.engine.tables.agents.load().find((r) => r.id === bob.id)!;
      recordedAtAttempt = row.attempts.upTo[NORMAL_LEVEL]!;
      deliver(entries);
    };
    bob.taker = taker;
    await hold(test, bob, entryFor(bob.id, test.clock));
    await hold(test, bob, entryFor(bob.id, test.clock));
    assert.equal(taker.taken.length, 1);
    assert.equal(recordedAtAttempt, taker.taken[0]!.seq);
    test = await test.crash();
    const again = test.engine.book.named('bob');
    const after = new TestTaker();
    again.taker = after;
    await test.engine.turns.run(() => test.engine.custody.touch(again));
    assert.deepEqual([...again.queue.attempted.keys()][0], taker.taken[0]!.seq);
    assert.equal(after.taken.length, 1);
    assert.notEqual(after.taken[0]!.seq, taker.taken[0]!.seq);
  });

  it('expires what waits beyond its deadline, at once when it comes too late', async () => {
    const bob = await addAgent(test.engine, 'bob');
    await hold(test, bob, entryFor(bob.id, test.clock));
    test.clock.ahead += 301_000_000;
    await test.engine.turns.run(() => test.engine.custody.expire(bob));
    assert.equal(bob.queue.depth, 0);
    const late = { ...entryFor(bob.id, test.clock), deadlineUs: test.clock.nowUs() - 1 };
    assert.equal(await hold(test, bob, late), 'ended');
    const stages = receiptsFor(test.engine, OTHER_NODE).map((r) => [r.stage, r.reason]);
    assert.deepEqual(stages, [
      [Stage.EXPIRED, 'TTL_EXPIRED'],
      [Stage.EXPIRED, 'TTL_EXPIRED'],
    ]);
  });

  it('reads mail from the disk when memory is short', async () => {
    await test.close();
    test = await testEngine({ memory_bytes: 1024 });
    const bob = await addAgent(test.engine, 'bob');
    for (let i = 0; i < 20; i++)
      await hold(test, bob, entryFor(bob.id, test.clock, { body: new Uint8Array(200).fill(i) }));
    const taker = new TestTaker();
    bob.taker = taker;
    await test.engine.turns.run(() => test.engine.custody.touch(bob));
    const bodies = taker.taken.map((e) => test.engine.custody.envelopeOf(e).body[0]);
    assert.deepEqual(
      bodies,
      Array.from({ length: 20 }, (_, i) => i),
    );
    await test.engine.turns.run(() => test.engine.custody.end(taker.taken, confirmed()));
    assert.equal(receiptsFor(test.engine, OTHER_NODE).length, 20);
  });

  it('forgets ids only after the time they are remembered', async () => {
    const bob = await addAgent(test.engine, 'bob');
    bob.taker = new TestTaker();
    const entry = entryFor(bob.id, test.clock);
    await hold(test, bob, entry);
    const { inbox } = test.engine.tables;
    assert.equal(inbox.sweep(test.clock.nowUs() - 60_000_000, 100), 0);
    assert.equal(await hold(test, bob, entry), 'repeated');
    assert.equal(inbox.sweep(test.clock.nowUs() + 1, 100), 1);
  });

  it('tells nobody of mail that comes from no node: no subject could be made for it', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const strange = entryFor(bob.id, test.clock, { fromNode: 'no node.*' });
    strange.deadlineUs = 1;
    assert.equal(await hold(test, bob, strange), 'ended');
    assert.deepEqual(test.engine.tables.receipts.targets(), []);
  });

  it('returns the mail of an agent that is removed', async () => {
    const bob = await addAgent(test.engine, 'bob');
    await hold(test, bob, entryFor(bob.id, test.clock));
    await test.engine.turns.run(() => test.engine.custody.endRemoved(bob));
    const [receipt] = receiptsFor(test.engine, OTHER_NODE);
    assert.deepEqual([receipt?.stage, receipt?.reason], [Stage.RETURNED, 'AGENT_REMOVED']);
    assert.equal(test.engine.custody.depth, 0);
  });

  it('leaves nothing behind of a turn that fails', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const entry = entryFor(bob.id, test.clock);
    const effects: string[] = [];
    const failed = test.engine.turns.run(() => {
      const envelope = Envelope.decode(entry.envelope);
      test.engine.custody.hold(bob, envelope, entry.envelope, { ...entry, history: true });
      test.engine.turns.after(() => effects.push('said'));
      throw new Error('disk');
    });
    await assert.rejects(failed, { reason: 'NODE_STORE_FAILED' });
    assert.deepEqual(effects, []);
    assert.equal(test.broken.length, 1);
    test = await test.crash();
    assert.equal(test.engine.book.named('bob').queue.depth, 0);
  });
});
