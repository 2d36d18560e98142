/**
 * Goal: with the policy `oldest` what waits longest makes room, as a dead letter with its receipt, and nothing more important
 * goes for something less so; bounds are the agent's own and are checked.
 * Method: an engine over a real database file; letters and receipts are read from their tables.
 */

import assert from 'node:assert/strict';
import { DeadLetter, Envelope, Priority, Stage } from '@fleetwire/gen/message';
import { newMessageId } from '@fleetwire/kernel';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { keepQueue } from '../src/agents/keep-queue.ts';
import { boundsOf, checkQueue } from '../src/domain/queue-settings.ts';
import {
  addAgent,
  entryFor,
  hold,
  NODE,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

describe('drop policy', () => {
  let test: TestEngine;
  let bob: HostedAgent;
  beforeEach(async () => {
    test = await testEngine({ queue_messages: 100 });
    bob = await addAgent(test.engine, 'bob');
    await keep({ messages: 3, bytes: 0, drop: 'oldest' });
  });
  afterEach(() => test.close());

  const keep = (settings: { messages: number; bytes: number; drop: string }) =>
    keepQueue({ turns: test.engine.turns, table: test.engine.tables.agents }, bob, settings);
  async function put(priority: Priority = Priority.NORMAL, body = new Uint8Array(10)): Promise<string> {
    const id = newMessageId();
    await hold(test, bob, entryFor(bob.id, test.clock, { id, priority, body }));
    return id;
  }
  function letters(): DeadLetter[] {
    const { letters: table } = test.engine.tables;
    const found: DeadLetter[] = [];
    for (let row = table.next(0); row !== undefined; row = table.next(row.seq)) {
      assert.equal(row.agent, bob.id);
      found.push(DeadLetter.decode(row.letter));
    }
    return found;
  }
  const dead = () => letters().map(({ envelope }) => Envelope.decode(envelope).id);
  const ends = () =>
    receiptsFor(test.engine, OTHER_NODE).map(({ messageId, stage, reason }) => [messageId, stage, reason]);
  const waiting = () =>
    [...bob.queue.waiting.ahead()].map((entry) => test.engine.custody.envelopeOf(entry).id);

  it('ends the oldest as a dead letter that says where and why', async () => {
    const ids = [await put(), await put(), await put(), await put()];
    assert.deepEqual(waiting(), ids.slice(1));
    assert.deepEqual(ends(), [[ids[0], Stage.DEAD, 'QUEUE_OVERFLOW']]);
    const [letter] = letters();
    assert.deepEqual([letter!.decoded, letter!.reason], [true, 'QUEUE_OVERFLOW']);
    assert.deepEqual(dead(), [ids[0]]);
    assert.deepEqual(
      letter!.hops.map(({ stage, service, instance }) => [stage, service, instance]),
      [
        [Stage.ACCEPTED, 'node', OTHER_NODE],
        [Stage.ROUTED, 'router', 'router-1'],
        [Stage.HELD, 'node', NODE],
        [Stage.DEAD, 'node', NODE],
      ],
    );
  });

  it('is the same after a crash, with what had been dropped by then', async () => {
    const first = await put();
    for (let i = 0; i < 3; i++) await put();
    test = await test.crash();
    bob = test.engine.book.named('bob');
    assert.deepEqual(bob.queue.bounds, { messages: 3, bytes: 16 * 1024 * 1024, drop: 'oldest' });
    assert.deepEqual(dead(), [first]);
    const [next] = waiting();
    await put();
    assert.deepEqual(dead(), [first, next]);
  });

  it('takes the lowest level first, and nothing of a higher one than what comes', async () => {
    const high = await put(Priority.HIGH);
    const [normal, low] = [await put(), await put(Priority.LOW)];
    await put();
    assert.deepEqual(dead(), [low]);
    await put(Priority.SYSTEM);
    assert.deepEqual(dead(), [low, normal]);
    await put(Priority.SYSTEM);
    await put(Priority.HIGH);
    assert.equal(dead().at(-1), high);
    const refused = await put(Priority.LOW);
    assert.deepEqual(ends().at(-1), [refused, Stage.RETURNED, 'QUEUE_FULL']);
  });

  it('leaves alone what is being handed over', async () => {
    const taker = new TestTaker(2);
    bob.taker = taker;
    const ids = [await put(), await put(), await put(), await put()];
    assert.deepEqual(dead(), [ids[2]]);
    taker.room = 3;
    await test.engine.turns.run(() => test.engine.custody.touch(bob));
    const refused = await put();
    assert.deepEqual(ends().at(-1), [refused, Stage.RETURNED, 'QUEUE_FULL']);
  });

  it('makes room in bytes too, and drops nothing where that would not help', async () => {
    await keep({ messages: 100, bytes: 2048, drop: 'oldest' });
    const ids = [await put(), await put(), await put(Priority.NORMAL, new Uint8Array(900))];
    const large = await put(Priority.NORMAL, new Uint8Array(4000));
    assert.deepEqual(ends(), [[large, Stage.RETURNED, 'QUEUE_FULL']]);
    assert.deepEqual(dead(), []);
    await put(Priority.NORMAL, new Uint8Array(1000));
    assert.deepEqual(dead(), ids);
  });

  it('returns what comes while too many letters wait for the broker', async () => {
    await test.close();
    test = await testEngine({ letters_bytes: 1024 });
    bob = await addAgent(test.engine, 'bob');
    await keep({ messages: 1, bytes: 0, drop: 'oldest' });
    for (let i = 0; i < 20; i++) await put();
    const kinds = ends().map(([, stage]) => stage);
    assert.ok(kinds.includes(Stage.DEAD));
    assert.equal(kinds.at(-1), Stage.RETURNED);
    assert.ok(test.engine.tables.letters.bytes < 2048);
  });
});

describe('queue settings', () => {
  const configured = { messages: 1000, bytes: 1_000_000, drop: 'newest' } as const;

  it('are as configured where nothing is said', () => {
    assert.deepEqual(boundsOf(undefined, configured), configured);
    assert.deepEqual(boundsOf({ messages: 0, bytes: 0, drop: '' }, configured), configured);
    const own = { messages: 5, bytes: 2048, drop: 'oldest' };
    assert.deepEqual(boundsOf(own, configured), own);
  });

  it('are refused beyond the limits, whatever the field', () => {
    const good = { messages: 100_000, bytes: 1024 ** 3, drop: 'newest' };
    assert.deepEqual(checkQueue(good), good);
    const field = fc.constantFrom(
      { messages: 100_001 },
      { bytes: 1024 ** 3 + 1 },
      { bytes: 1023 },
      { drop: 'all' },
    );
    fc.assert(
      fc.property(field, (bad) => {
        assert.throws(() => checkQueue({ ...good, ...bad }), {
          kind: 'invalid_argument',
          reason: 'INVALID_QUEUE',
        });
      }),
    );
  });
});
