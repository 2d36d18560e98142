/**
 * Goal: a reader of a mailbox that waits while a session takes the mail over is refused, and nothing else is; who looks first and
 * confirms later loses nothing and shares nothing with other readers; an answer goes to who waits for it.
 * Method: an engine over a real database file; takers and readers come while others wait.
 */

import assert from 'node:assert/strict';
import { Stage } from '@fleetwire/gen/message';
import type { ReadInboxResponse } from '@fleetwire/gen/node';
import { newMessageId, pause } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import type { ReadOptions } from '../src/mail/mailbox.ts';
import {
  addAgent,
  entryFor,
  hold,
  LOOK,
  OTHER_NODE,
  receiptsFor,
  refusalOf,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

const never = new AbortController().signal;
const options = { ...LOOK, waitMs: 60_000, peek: false };

describe('a mailbox', () => {
  it('refuses a reader whose mail goes to a session by now; the node and other work of the turn go on', async () => {
    const test = await testEngine();
    const { engine } = test;
    const bob = await addAgent(engine, 'bob', 'mailbox');
    const ending = new AbortController();
    const reading = refusalOf(() => engine.mailbox.read(bob, options, ending.signal));
    bob.taker = new TestTaker(0);
    const held = hold(test, bob, entryFor(bob.id, test.clock));
    const holding = { ...options, waitMs: 0, peek: true, holdMs: 1 };
    const other = await refusalOf(() => engine.mailbox.read(bob, holding, never));
    assert.equal(other.reason, 'MAIL_GOES_ELSEWHERE', 'who holds means to take');
    ending.abort();
    const [refusal, what] = await Promise.all([reading, held]);
    assert.equal(refusal.reason, 'MAIL_GOES_ELSEWHERE');
    assert.equal(what, 'held');
    assert.deepEqual(test.broken, []);
    bob.taker = undefined;
    assert.equal((await engine.mailbox.read(bob, options, never)).deliveries.length, 1);
    await test.close();
  });

  it('gives nobody else what one reader was shown, until it confirms or its time is over', async () => {
    const test = await testEngine();
    const { engine } = test;
    const bob = await addAgent(engine, 'bob', 'mailbox');
    const ids = await held(test, bob, 3);
    const shown = await read(test, bob, { peek: true, limit: 2, holdMs: 60_000 });
    assert.deepEqual(idsOf(shown), ids.slice(0, 2));
    assert.equal(shown.remaining, 1);
    assert.deepEqual(idsOf(await read(test, bob, { peek: true })), ids.slice(2));
    await read(test, bob, { confirm: [ids[1]!, 'of somebody else'] });
    assert.equal(engine.custody.depth, 2);
    const short = await read(test, bob, { peek: true, holdMs: 1 });
    assert.deepEqual(idsOf(short), ids.slice(2));
    await pause(5);
    assert.deepEqual(idsOf(await read(test, bob, {})), ids.slice(2));
    assert.equal((await read(test, bob, { confirm: [ids[0]!, ids[0]!] })).remaining, 0);
    assert.equal(engine.custody.depth, 0);
    await test.close();
  });

  it('shows nothing past its deadline; who means to take ends it', async () => {
    const test = await testEngine();
    const bob = await addAgent(test.engine, 'bob', 'mailbox');
    const [late] = await held(test, bob, 1);
    test.clock.ahead += 301_000_000;
    const [inTime] = await held(test, bob, 1);
    assert.deepEqual(idsOf(await read(test, bob, { peek: true })), [inTime]);
    assert.deepEqual(receiptsFor(test.engine, OTHER_NODE), [], 'who only looks changes nothing');
    const shown = await read(test, bob, { peek: true, holdMs: 60_000 });
    assert.deepEqual([idsOf(shown), shown.remaining], [[inTime], 0]);
    const ends = receiptsFor(test.engine, OTHER_NODE).map((r) => [r.messageId, r.stage]);
    assert.deepEqual(ends, [[late, Stage.EXPIRED]]);
    await test.close();
  });

  it('ends nothing by time while it is shown; a confirm counts after the end too, and says where it cannot', async () => {
    const test = await testEngine();
    const { engine, clock } = test;
    const bob = await addAgent(engine, 'bob', 'mailbox');
    const ids = await held(test, bob, 3);
    await read(test, bob, { peek: true, limit: 2, holdMs: 60_000 });
    clock.ahead += 301_000_000;
    await test.engine.turns.run(() => engine.custody.expire(bob));
    assert.deepEqual(endsOf(test), [[ids[2], Stage.EXPIRED]]);
    const inTime = await read(test, bob, { confirm: [ids[0]!] });
    assert.deepEqual([inTime.tooLate, inTime.cancelled], [[], []]);
    clock.later += 60_001;
    await test.engine.turns.run(() => engine.custody.expire(bob));
    assert.deepEqual(endsOf(test).slice(1), [
      [ids[0], Stage.CONFIRMED],
      [ids[1], Stage.EXPIRED],
    ]);
    // Also the second time, for an answer that did not get to its reader.
    for (let i = 0; i < 2; i++) {
      const { tooLate } = await read(test, bob, { confirm: ids });
      assert.deepEqual(tooLate, [ids[2]], 'nobody was ever shown it');
    }
    assert.deepEqual(endsOf(test).slice(3), [[ids[1], Stage.CONFIRMED]]);
    const hops = receiptsFor(engine, OTHER_NODE)
      .at(-1)!
      .hops.map(({ stage }) => stage);
    assert.deepEqual(hops.slice(-2), [Stage.EXPIRED, Stage.CONFIRMED]);
    await test.close();
  });

  it('keeps proof for what was shown over a crash of the node; no session of the agent can give it', async () => {
    const before = await testEngine();
    const bob = await addAgent(before.engine, 'bob', 'mailbox');
    const [id] = await held(before, bob, 1);
    await read(before, bob, { peek: true, holdMs: 1 });
    before.clock.later += 2;
    before.clock.ahead += 301_000_000;
    await before.engine.turns.run(() => before.engine.custody.expire(bob));
    const test = await before.crash();
    const again = test.engine.book.byName('bob')!;
    assert.equal(again.unproven.size, 0);
    assert.deepEqual((await read(test, again, { confirm: [id!] })).tooLate, []);
    assert.deepEqual(endsOf(test).at(-1), [id, Stage.CONFIRMED]);
    await test.close();
  });

  it('holds for longer what its reader still writes, a minute in all; what is given back is free at once', async () => {
    const test = await testEngine();
    const { clock } = test;
    const bob = await addAgent(test.engine, 'bob', 'mailbox');
    const [id] = await held(test, bob, 1);
    const look = async () => idsOf(await read(test, bob, { peek: true }));
    const show = () => read(test, bob, { peek: true, holdMs: 5000 });
    const renew = (renewMs: number) => read(test, bob, { peek: true, hold: [id!], renewMs });
    await show();
    for (let at = 4000; at < 60_000; at += 4000) {
      clock.later += 4000;
      await renew(5000);
      assert.deepEqual(await look(), [], `after ${at} ms`);
    }
    clock.later += 4001;
    assert.deepEqual(await look(), [id], 'a minute is over');
    await renew(5000);
    assert.deepEqual(await look(), [id], 'what is held no more is not held again');
    await show();
    clock.later += 5000;
    await renew(5000);
    assert.deepEqual(await look(), [id], 'also within the minute');
    await show();
    const other = read(test, bob, { peek: true, waitMs: 60_000 });
    await renew(0);
    assert.deepEqual(idsOf(await other), [id]);
    const many = await refusalOf(() => read(test, bob, { hold: Array(501).fill('x') }));
    assert.equal(many.reason, 'TOO_MANY_IDS');
    const taking = await refusalOf(() => read(test, bob, { hold: [id!], renewMs: 1 }));
    assert.equal(taking.reason, 'HOLD_WITHOUT_PEEK');
    await test.close();
  });

  it('neither takes nor holds anything for a reader that is gone', async () => {
    const test = await testEngine();
    const bob = await addAgent(test.engine, 'bob', 'mailbox');
    const ids = await held(test, bob, 1);
    const gone = AbortSignal.abort();
    for (const more of [{}, { peek: true, holdMs: 60_000 }])
      assert.deepEqual(idsOf(await test.engine.mailbox.read(bob, { ...options, ...more }, gone)), []);
    assert.deepEqual(idsOf(await read(test, bob, {})), ids);
    await test.close();
  });

  it('wakes who waits when what another one was shown is free again', async () => {
    const test = await testEngine();
    const bob = await addAgent(test.engine, 'bob', 'mailbox');
    const [id] = await held(test, bob, 1);
    await read(test, bob, { peek: true, holdMs: 30 });
    assert.deepEqual(idsOf(await read(test, bob, { peek: true, waitMs: 60_000 })), [id]);
    await test.close();
  });

  it('makes no room by what it is showing', async () => {
    const test = await testEngine();
    const bob = await addAgent(test.engine, 'bob', 'mailbox');
    bob.queue.bounds = { messages: 2, bytes: 1e6, drop: 'oldest' };
    const ids = await held(test, bob, 2);
    await read(test, bob, { peek: true, limit: 1, holdMs: 60_000 });
    const [newer] = await held(test, bob, 1);
    assert.deepEqual(endsOf(test), [[ids[1], Stage.DEAD]]);
    assert.deepEqual((await read(test, bob, { confirm: [ids[0]!, newer!] })).remaining, 0);
    await test.close();
  });

  it('shows again after a crash what was not confirmed, and not what was', async () => {
    const before = await testEngine();
    const bob = await addAgent(before.engine, 'bob', 'mailbox');
    const ids = await held(before, bob, 2);
    await read(before, bob, { peek: true, holdMs: 60_000 });
    await read(before, bob, { confirm: [ids[0]!] });
    const test = await before.crash();
    const again = test.engine.book.byName('bob')!;
    assert.deepEqual(idsOf(await read(test, again, { peek: true })), [ids[1]]);
    await test.close();
  });

  it('keeps an answer for who waits for it, by what it replies to or its conversation', async () => {
    const test = await testEngine();
    const { engine } = test;
    const bob = await addAgent(engine, 'bob', 'mailbox');
    const asked = newMessageId();
    const waiting = read(test, bob, { replyTo: asked, waitMs: 60_000, peek: true, holdMs: 60_000 });
    const [other] = await held(test, bob, 1);
    const answer = entryFor(bob.id, test.clock, { replyTo: asked });
    await hold(test, bob, answer);
    const [answerId] = idsOf(await waiting);
    assert.notEqual(answerId, other);
    assert.deepEqual(idsOf(await read(test, bob, {})), [other]);
    const more = entryFor(bob.id, test.clock, { correlationId: asked });
    await hold(test, bob, more);
    assert.deepEqual(idsOf(await read(test, bob, {})), [], 'it is waited for a moment longer');
    assert.equal(idsOf(await read(test, bob, { replyTo: asked })).length, 1);
    await read(test, bob, { confirm: [answerId!] });
    assert.equal(engine.custody.depth, 0);
    await test.close();
  });
});

type Held = Awaited<ReturnType<typeof testEngine>>;
type Bob = Awaited<ReturnType<typeof addAgent>>;

const read = (test: Held, bob: Bob, more: Partial<ReadOptions>) =>
  test.engine.mailbox.read(bob, { ...options, waitMs: 0, ...more }, never);

const endsOf = ({ engine }: Held) =>
  receiptsFor(engine, OTHER_NODE).map(({ messageId, stage }) => [messageId, stage]);

const idsOf = ({ deliveries }: ReadInboxResponse) => deliveries.map(({ id }) => id);

async function held(test: Held, bob: Bob, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    const id = newMessageId();
    await hold(test, bob, entryFor(bob.id, test.clock, { id, correlationId: id }));
    ids.push(id);
  }
  return ids;
}
