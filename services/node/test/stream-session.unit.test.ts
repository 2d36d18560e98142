/**
 * Goal: a session delivers within its window and in order; what it leaves behind ends as the client can or cannot tell.
 * Method: sessions over a real database file; what they would send is read from their outflow.
 */

import assert from 'node:assert/strict';
import { Priority, Stage } from '@fleetwire/gen/message';
import { AttachHello, type AttachResponse, type Delivery } from '@fleetwire/gen/node';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Outflow } from '../src/mail/outflow.ts';
import { StreamSession } from '../src/mail/stream-session.ts';
import {
  addAgent,
  entryFor,
  hold,
  OTHER_NODE,
  receiptsFor,
  type TestEngine,
  testEngine,
} from './engine-fixture.ts';

const HELLO = AttachHello.fromPartial({ name: 'bob', window: 3 });

describe('stream session', () => {
  let test: TestEngine;
  let sessions = 0;
  beforeEach(async () => {
    test = await testEngine();
    await addAgent(test.engine, 'bob');
  });
  afterEach(() => test.close());

  async function attach(hello: Partial<AttachHello> = {}) {
    const { clock, custody, tables, turns } = test.engine;
    const outflow = new Outflow();
    const agent = test.engine.book.named('bob');
    const parts = {
      agent,
      number: ++sessions,
      hello: { ...HELLO, ...hello },
      windowBytes: 1e6,
      clock,
      custody,
    };
    const session = new StreamSession({ ...parts, agents: tables.agents, turns, outflow });
    await turns.run(() => session.begin());
    return {
      session,
      outflow,
      responses: () => drain(outflow),
      end: () => turns.run(() => session.end()),
      ack: (upTo: number, also: number[] = []) => turns.run(() => session.acknowledge({ upTo, also })),
    };
  }

  async function fill(count: number) {
    const bob = test.engine.book.named('bob');
    for (let i = 0; i < count; i++)
      await hold(test, bob, entryFor(bob.id, test.clock, { body: new TextEncoder().encode(String(i)) }));
  }
  const stages = () => receiptsFor(test.engine, OTHER_NODE).map((r) => [r.stage, r.reason]);

  it('delivers up to its window, and more as it is acknowledged', async () => {
    await fill(7);
    const { responses, ack } = await attach();
    const first = deliveries(await responses());
    assert.deepEqual(texts(first), ['0', '1', '2']);
    await ack(first[0]!.sequence, [first[2]!.sequence]);
    const second = deliveries(await responses());
    assert.deepEqual(texts(second), ['3', '4']);
    assert.deepEqual(stages(), [
      [Stage.CONFIRMED, ''],
      [Stage.CONFIRMED, ''],
    ]);
    await ack(second.at(-1)!.sequence);
    assert.deepEqual(texts(deliveries(await responses())), ['5', '6']);
  });

  it('ignores acknowledgements of what it has not delivered', async () => {
    await fill(5);
    const { responses, ack } = await attach();
    const first = deliveries(await responses());
    await ack(first.at(-1)!.sequence + 100);
    assert.equal(stages().length, 3);
    assert.deepEqual(texts(deliveries(await responses())), ['3', '4']);
  });

  it('ends what a client that cannot tell had not acknowledged, and does not send it again', async () => {
    await fill(4);
    const one = await attach();
    assert.equal(deliveries(await one.responses()).length, 3);
    await one.end();
    assert.deepEqual(stages(), Array(3).fill([Stage.UNCONFIRMED, 'SESSION_LOST']));
    const two = await attach();
    assert.deepEqual(texts(deliveries(await two.responses())), ['3']);
  });

  it('does the same after a crash of the node', async () => {
    await fill(4);
    await attach();
    test = await test.crash();
    assert.deepEqual(stages(), Array(3).fill([Stage.UNCONFIRMED, 'SESSION_LOST']));
    assert.deepEqual(texts(deliveries(await (await attach()).responses())), ['3']);
  });

  it('sends a client that resumes what it has not taken, also after a crash', async () => {
    await fill(5);
    const one = await attach({ resuming: true });
    const first = deliveries(await one.responses());
    await one.end();
    assert.deepEqual(stages(), []);
    test = await test.crash();
    const resume = { upTo: first[0]!.sequence, also: [first[2]!.sequence] };
    const two = await attach({ resuming: true, resume });
    assert.deepEqual(texts(deliveries(await two.responses())), ['1', '3', '4']);
    assert.deepEqual(stages(), Array(2).fill([Stage.CONFIRMED, '']));
  });

  it('upgrades what had ended unconfirmed once a client that resumes says it had it', async () => {
    await fill(1);
    const one = await attach({ resuming: true });
    const [delivery] = deliveries(await one.responses());
    await one.end();
    await test.engine.turns.run(() => test.engine.custody.endLostSession(test.engine.book.named('bob')));
    test = await test.crash();
    await attach({ resuming: true, resume: { upTo: delivery!.sequence, also: [] } });
    assert.deepEqual(stages(), [
      [Stage.UNCONFIRMED, 'SESSION_LOST'],
      [Stage.CONFIRMED, ''],
    ]);
  });

  it('goes by the numbers of deliveries where urgent mail has overtaken other, also after a crash', async () => {
    for (const [text, priority] of [
      ['low', Priority.LOW],
      ['first', Priority.NORMAL],
      ['second', Priority.NORMAL],
      ['urgent', Priority.HIGH],
    ] as const) {
      const bob = test.engine.book.named('bob');
      await hold(test, bob, entryFor(bob.id, test.clock, { priority, body: new TextEncoder().encode(text) }));
    }
    const one = await attach({ resuming: true });
    const given = deliveries(await one.responses());
    assert.deepEqual(texts(given), ['urgent', 'first', 'second']);
    const numbers = given.map(({ sequence }) => sequence);
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    await one.ack(numbers[0]!);
    await one.end();
    test = await test.crash();
    // The client had the first one too: it is confirmed, and only the rest comes again, under the number that it had.
    const two = await attach({ resuming: true, resume: { upTo: numbers[1]!, also: [] } });
    const again = deliveries(await two.responses());
    assert.deepEqual(texts(again), ['second', 'low']);
    assert.equal(again[0]!.sequence, numbers[2]);
    assert.ok(again[1]!.sequence > numbers[2]!);
    assert.deepEqual(stages(), Array(2).fill([Stage.CONFIRMED, '']));
    await test.engine.turns.run(() => test.engine.custody.endLostSession(test.engine.book.named('bob')));
    test = await test.crash();
    await attach({ resuming: true, resume: { upTo: again[0]!.sequence, also: [] } });
    assert.deepEqual(stages().slice(2), [
      [Stage.UNCONFIRMED, 'SESSION_LOST'],
      [Stage.UNCONFIRMED, 'SESSION_LOST'],
      [Stage.CONFIRMED, ''],
    ]);
    const confirmed = receiptsFor(test.engine, OTHER_NODE).at(-1)!.messageId;
    assert.equal(confirmed, again[0]!.id);
  });

  it('gives way to a newer session', async () => {
    const one = await attach();
    const two = await attach();
    assert.equal((await one.responses()).at(-1)?.goodbye?.reason, 'SUPERSEDED');
    await one.end();
    await fill(1);
    assert.equal(deliveries(await two.responses()).length, 1);
  });
});

async function drain(outflow: Outflow): Promise<AttachResponse[]> {
  const found: AttachResponse[] = [];
  const responses = outflow.responses();
  for (let waiting = outflow.length; waiting > 0; waiting--)
    found.push((await responses.next()).value as AttachResponse);
  return found;
}
function deliveries(responses: AttachResponse[]): Delivery[] {
  return responses.flatMap((response) => response.deliver?.deliveries ?? []);
}
function texts(list: Delivery[]): string[] {
  return list.map((delivery) => Buffer.from(delivery.body).toString());
}
