/**
 * Goal: a sender takes back what it has sent, wherever it is; nobody else's mail is touched, and both messages have one end.
 * Method: a real database file; the message is brought to each stage, then taken back as its sender, or somebody else, would.
 */

import assert from 'node:assert/strict';
import { Envelope, type InboxEntry, Priority, Stage } from '@fleetwire/gen/message';
import { AttachHello, type AttachResponse, type Outgoing } from '@fleetwire/gen/node';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { HostedAgent } from '../src/agents/hosted-agent.ts';
import { confirmed } from '../src/domain/receipt.ts';
import type { ReadOptions } from '../src/mail/mailbox.ts';
import { Outflow } from '../src/mail/outflow.ts';
import { sendOnce } from '../src/mail/send-once.ts';
import { StreamSession } from '../src/mail/stream-session.ts';
import {
  addAgent,
  entryFor,
  hold,
  LOOK,
  NODE,
  OTHER_NODE,
  outgoing,
  receiptsFor,
  refusalOf,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

describe('taking a message back', () => {
  let test: TestEngine;
  let bob: HostedAgent;
  beforeEach(async () => {
    test = await testEngine();
    bob = await addAgent(test.engine, 'bob');
    await addAgent(test.engine, 'alice');
  });
  afterEach(() => test.close());

  /** From another node, as it comes out of the inbox. */
  const comes = (entry: InboxEntry) => hold(test, bob, entry);
  const question = () => entryFor(bob.id, test.clock, { answerWithinMs: 60_000 });
  const idOf = (entry: InboxEntry) => Envelope.decode(entry.envelope).id;
  const cancelOf = (entry: InboxEntry, more: Partial<Envelope> = {}) =>
    entryFor(bob.id, test.clock, { cancels: idOf(entry), body: new Uint8Array(), ...more });
  const ends = (node = OTHER_NODE) =>
    receiptsFor(test.engine, node).map((r) => [r.messageId, r.stage, r.reason]);
  const send = (to: string, more: Partial<Outgoing> = {}, from = 'alice') =>
    sendOnce(test.engine, test.engine.book.named(from), outgoing(to, more.cancels ? '' : 'hello', more));

  async function attach(hello: Partial<AttachHello> = {}) {
    const { clock, custody, tables, turns } = test.engine;
    const outflow = new Outflow();
    const said = AttachHello.fromPartial({ name: 'bob', resuming: true, ...hello });
    const own = { agent: bob, number: 1, hello: said, windowBytes: 1e6 };
    const session = new StreamSession({ ...own, clock, custody, agents: tables.agents, turns, outflow });
    await turns.run(() => session.begin());
    const read = async () => {
      const responses: AttachResponse[] = [];
      const all = outflow.responses();
      for (let waiting = outflow.length; waiting > 0; waiting--)
        responses.push((await all.next()).value as AttachResponse);
      return responses;
    };
    return {
      told: async () =>
        (await read()).flatMap((r) => r.cancelled?.ids ?? r.deliver?.deliveries.map((d) => d.id)),
      ack: (upTo: number) => turns.run(() => session.acknowledge({ upTo, also: [] })),
      end: () => turns.run(() => session.end()),
    };
  }

  it('withdraws what waits for its recipient, and nothing else', async () => {
    const [before, asked, after] = [question(), question(), question()];
    for (const entry of [before, asked, after]) await comes(entry);
    const cancel = cancelOf(asked);
    assert.equal(await comes(cancel), 'ended');
    assert.deepEqual(ends(), [
      [idOf(asked), Stage.RETURNED, 'CANCELLED'],
      [idOf(cancel), Stage.CONFIRMED, ''],
    ]);
    test = await test.crash();
    bob = test.engine.book.named('bob');
    const taker = new TestTaker();
    bob.taker = taker;
    await test.engine.turns.run(() => test.engine.custody.touch(bob));
    const taken = taker.taken.map((entry) => test.engine.custody.envelopeOf(entry).id);
    assert.deepEqual(taken, [idOf(before), idOf(after)]);
    assert.equal(await comes(asked), 'repeated', 'and it does not come again');
  });

  it('has one end and one effect when it comes twice, late, or before what it takes back', async () => {
    const [asked, early] = [question(), question()];
    await comes(asked);
    const cancel = cancelOf(asked);
    await comes(cancel);
    assert.equal(await comes(cancel), 'repeated');
    const second = cancelOf(asked);
    await comes(second);
    const before = cancelOf(early);
    await comes(before);
    assert.equal(await comes(early), 'held');
    assert.equal(bob.queue.depth, 1);
    assert.deepEqual(ends().slice(2), [
      [idOf(second), Stage.CONFIRMED, ''],
      [idOf(before), Stage.RETURNED, 'NOTHING_TO_CANCEL'],
    ]);
  });

  it('is refused to somebody else, who knows the id', async () => {
    const asked = question();
    await comes(asked);
    const forged = cancelOf(asked, { fromAgent: 'a_0000000000mallory' });
    await comes(forged);
    assert.equal(bob.queue.depth, 1);
    assert.deepEqual(ends(), [[idOf(forged), Stage.RETURNED, 'NOTHING_TO_CANCEL']]);
    await addAgent(test.engine, 'mallory');
    const { id } = await send('far', { answerWithinMs: 1000 });
    const refused = await refusalOf(() => send('far', { cancels: id }, 'mallory'));
    assert.deepEqual([refused.kind, refused.reason], ['not_found', 'NOTHING_TO_CANCEL']);
    assert.equal(test.engine.outbox.depth, 1);
  });

  it('reaches the session that has it, before and after its acknowledgement, and again when that comes back', async () => {
    const [first, second] = [question(), question()];
    await comes(first);
    await comes(second);
    const session = await attach();
    assert.deepEqual(await session.told(), [idOf(first), idOf(second)]);
    await comes(cancelOf(first));
    assert.deepEqual(await session.told(), [idOf(first)]);
    await session.ack(bob.attempts.last);
    await comes(cancelOf(second));
    assert.deepEqual(await session.told(), [idOf(second)]);
    await session.end();
    const third = question();
    await comes(third);
    const resume = { upTo: bob.attempts.last, also: [] };
    const again = await attach({ resume });
    assert.deepEqual(await again.told(), [idOf(first), idOf(second), idOf(third)]);
    assert.deepEqual(
      ends().map(([, stage]) => stage),
      Array(4).fill(Stage.CONFIRMED),
    );
  });

  it('does not stop what a program has, and keeps it from being typed once more', async () => {
    await test.engine.turns.run(() => (bob.adapter = 'tmux'));
    const taker = new TestTaker(1);
    bob.taker = taker;
    const [asked, next] = [question(), question()];
    await comes(asked);
    await comes(next);
    const cancel = cancelOf(asked);
    await comes(cancel);
    assert.deepEqual(ends(), [[idOf(cancel), Stage.CONFIRMED, '']]);
    const [entry] = taker.taken;
    await test.engine.turns.run(() => test.engine.custody.putBack(entry!));
    assert.deepEqual(ends().at(-1), [idOf(asked), Stage.RETURNED, 'CANCELLED']);
    await comes(cancelOf(next));
    const taken = taker.taken.map(({ seq }) => seq).length;
    assert.equal(taken, 2, 'the next one was handed over, the first one only once');
  });

  it('follows what moves to another node, and acts there', async () => {
    const asked = question();
    await comes(asked);
    await test.engine.turns.run(() => Object.assign(bob.moving, { leavingEpoch: 7 }));
    const cancel = cancelOf(asked);
    assert.equal(await comes(cancel), 'held');
    assert.equal(bob.queue.depth, 2);
    assert.deepEqual(ends(), []);
    // Where the agent comes back before that was handed over, it acts here.
    const moved = { agent: bob.id, name: 'bob', adapter: 'stream' };
    await test.engine.turns.run(() => {
      test.engine.book.markLeaving(bob);
      test.engine.arrivals.announced({ ...moved, epoch: 8, end: false });
    });
    assert.equal(bob.moving.leavingEpoch, 0);
    assert.deepEqual(ends(), [
      [idOf(asked), Stage.RETURNED, 'CANCELLED'],
      [idOf(cancel), Stage.CONFIRMED, ''],
    ]);
  });

  it('withdraws what has not left its own node, for the hub or for a busy recipient; history hears of both', async () => {
    const { id } = await send('far', { answerWithinMs: 1000 });
    await send('far');
    const cancel = await send('far', { cancels: id });
    const pack = test.engine.outbox.nextPack()!;
    const went = pack.rows.map((row) => Envelope.decode(row.envelope));
    assert.deepEqual(
      went.map((e) => [e.id === id || e.cancels === id, e.local]),
      [
        [false, false],
        [true, true],
        [true, true],
      ],
    );
    assert.deepEqual(ends(NODE), [
      [id, Stage.RETURNED, 'CANCELLED'],
      [cancel.id, Stage.CONFIRMED, ''],
    ]);
    assert.equal(test.engine.progress.of(id).final, true);
    assert.deepEqual(await send('far', { id: cancel.id, cancels: id }), cancel, 'a repeated one is known');
    // On its way: another one has to follow it.
    const late = await send('far', { answerWithinMs: 1000 });
    const out = test.engine.outbox.settle(pack);
    await test.engine.turns.run(() => test.engine.tables.outbox.delete(out));
    const next = test.engine.outbox.nextPack()!;
    assert.deepEqual(
      next.rows.map((row) => row.id),
      [late.id],
    );
    await send('far', { cancels: late.id });
    test.engine.outbox.settle(next);
    const [follows] = test.engine.outbox.nextPack()!.rows;
    const told = Envelope.decode(follows!.envelope);
    assert.deepEqual([told.cancels, told.to, told.local], [late.id, 'far', false]);
  });

  it('of this node needs no hub', async () => {
    const { id } = await send('bob', { answerWithinMs: 1000 });
    const cancel = await send('bob', { cancels: id });
    assert.equal(bob.queue.depth, 0);
    assert.deepEqual(ends(NODE), [
      [id, Stage.RETURNED, 'CANCELLED'],
      [cancel.id, Stage.CONFIRMED, ''],
    ]);
  });

  it('to many is told to all of them, since some may have the message already', async () => {
    const { id } = await send('*', { answerWithinMs: 1000 });
    assert.equal(bob.queue.depth, 1);
    const cancel = await send('*', { cancels: id });
    assert.equal(bob.queue.depth, 0);
    const rows = test.engine.outbox.nextPack()!.rows.map((row) => [row.id, row.local]);
    assert.deepEqual(rows, [
      [id, false],
      [cancel.id, false],
    ]);
  });

  it('to one, of a message to many, withdraws it from nobody; to many, of a message to one, does', async () => {
    const { id } = await send('#all');
    await send('bob', { cancels: id });
    const one = await send('far');
    await send('*', { cancels: one.id });
    const rows = test.engine.outbox.nextPack()!.rows.map((row) => [row.id, row.local]);
    assert.deepEqual(rows[0], [id, false]);
    assert.ok(!rows.some(([of, local]) => of === one.id && local === false));
    assert.ok(!ends(NODE).some(([of]) => of === id));
    assert.ok(ends(NODE).some(([of, , reason]) => of === one.id && reason === 'CANCELLED'));
  });

  it('never overtakes what it takes back: it goes at the priority of that while it is in the outbox', async () => {
    const low = { priority: Priority.LOW };
    const { id } = await send('*', low);
    const cancel = await send('*', { cancels: id });
    await send('far');
    const pack = test.engine.outbox.nextPack()!;
    const order = pack.rows.map((row) => row.id);
    assert.ok(order.indexOf(id) < order.indexOf(cancel.id));
    const levelOf = (of: string) =>
      pack.rows
        .filter((row) => row.id === of)
        .map((row) => [row.level, Envelope.decode(row.envelope).priority]);
    assert.deepEqual(levelOf(cancel.id), levelOf(id));
    // What is on its way counts too; once it is gone, the cancel goes as its sender says.
    const onItsWay = await send('*', { cancels: id });
    test.engine.outbox.settle(pack);
    const after = await send('*', { cancels: id });
    const next = test.engine.outbox.nextPack()!.rows.map((row) => [row.id, row.level]);
    assert.deepEqual(next, [
      [after.id, 1],
      [onItsWay.id, 0],
    ]);
  });

  it('is mail to nobody: a mailbox does not show it', async () => {
    const box = await addAgent(test.engine, 'box', 'mailbox');
    const { id } = await send('box', { answerWithinMs: 1000 });
    const read = () => test.engine.mailbox.read(box, { ...LOOK, peek: false }, new AbortController().signal);
    const { deliveries } = await read();
    assert.deepEqual(
      deliveries.map((d) => [d.id, d.answerByUs > 0, d.answerLeftMs > 0 && d.answerLeftMs <= 1000]),
      [[id, true, true]],
    );
    await send('box', { cancels: id });
    assert.deepEqual((await read()).deliveries, []);
  });

  it('ends what a reader is shown only when that is over; who confirms has it and hears of it', async () => {
    const box = await addAgent(test.engine, 'box', 'mailbox');
    const options = { ...LOOK, holdMs: 5000 };
    const read = (more: Partial<ReadOptions> = {}) =>
      test.engine.mailbox.read(box, { ...options, ...more }, new AbortController().signal);
    const shown = async () => (await read()).deliveries.map(({ id }) => id);
    const [first, second, third] = [await send('box'), await send('box'), await send('box')];
    const ids = [first.id, second.id, third.id];
    assert.deepEqual(await shown(), ids);
    for (const { id } of [first, second]) await send('box', { cancels: id });
    assert.equal(box.queue.depth, 3);
    const inTime = await read({ confirm: [first.id] });
    assert.deepEqual([inTime.tooLate, inTime.cancelled], [[], [first.id]]);
    await read({ hold: [second.id, third.id], renewMs: 0 });
    assert.equal(box.queue.depth, 1);
    assert.deepEqual(await shown(), [third.id], 'what was taken back is not shown again');
    test.clock.later += 5000;
    await send('box', { cancels: third.id });
    const late = await read({ confirm: ids });
    assert.deepEqual([late.tooLate, late.cancelled], [[], ids]);
    const of = (wanted: string) => ends(NODE).flatMap(([id, stage]) => (id === wanted ? [stage] : []));
    assert.deepEqual(ids.map(of), [
      [Stage.CONFIRMED],
      [Stage.RETURNED, Stage.CONFIRMED],
      [Stage.RETURNED, Stage.CONFIRMED],
    ]);
    assert.deepEqual(
      test.engine.progress.of(second.id).receipts.map(({ stage }) => stage),
      [Stage.CONFIRMED],
    );
  });

  it('gives a session that takes the mail over nothing that was taken back while a reader was shown it', async () => {
    const box = await addAgent(test.engine, 'box', 'mailbox');
    const options = { ...LOOK, holdMs: 60_000 };
    const { id } = await send('box');
    await test.engine.mailbox.read(box, options, new AbortController().signal);
    await send('box', { cancels: id });
    const taker = new TestTaker();
    box.taker = taker;
    await test.engine.turns.run(() => test.engine.custody.touch(box));
    assert.deepEqual([taker.taken.length, box.queue.depth], [0, 1]);
    test.clock.later += 60_000;
    await test.engine.turns.run(() => test.engine.custody.expire(box));
    assert.deepEqual([taker.taken.length, box.queue.depth], [0, 0]);
    assert.deepEqual(ends(NODE).at(-1), [id, Stage.RETURNED, 'CANCELLED']);
  });

  it('must be well formed', async () => {
    const { id } = await send('far');
    for (const more of [
      { cancels: 'x' },
      { cancels: id, id },
      { cancels: id, body: new Uint8Array(1) },
      { cancels: id, answerWithinMs: 5 },
      { answerWithinMs: 86_400_001 },
    ])
      assert.equal((await refusalOf(() => send('far', more))).reason, 'INVALID_MESSAGE');
  });

  it('of a question waits no longer than its sender waits for the answer, unless that is said', async () => {
    const ttlOf = async (more: Partial<Outgoing>) => {
      await send('far', more);
      const rows = test.engine.outbox.nextPack()!;
      test.engine.outbox.settle(rows);
      return Envelope.decode(rows.rows.at(-1)!.envelope).ttlMs;
    };
    assert.equal(await ttlOf({ answerWithinMs: 1000 }), 1000);
    assert.equal(await ttlOf({ answerWithinMs: 86_400_000 }), 3_600_000);
    assert.equal(await ttlOf({ answerWithinMs: 1000, ttlMs: 5000 }), 5000);
    assert.equal(await ttlOf({}), 300_000);
  });

  it('tells who asks what becomes of the question, while that is open, and after a reconnect', async () => {
    const alice = test.engine.book.named('alice');
    const heard: unknown[] = [];
    const follow = () =>
      test.engine.asks.follow(alice.num, (receipts) => {
        for (const { messageId, reason } of receipts) heard.push([messageId, reason]);
      });
    const stop = follow();
    const { id } = await send('bob', { answerWithinMs: 60_000 });
    await send('bob');
    await test.engine.turns.run(() => test.engine.custody.endRemoved(bob));
    assert.deepEqual(heard, [[id, 'AGENT_REMOVED']]);
    stop();
    const late = await send('bob', { answerWithinMs: 60_000 });
    await test.engine.turns.run(() => test.engine.custody.endRemoved(bob));
    assert.equal(heard.length, 1);
    follow();
    assert.deepEqual(heard.at(-1), [late.id, 'AGENT_REMOVED']);
    bob.taker = new TestTaker();
    await send('bob', { answerWithinMs: 60_000 });
    await test.engine.turns.run(() =>
      test.engine.custody.end([...bob.queue.attempted.values()], confirmed()),
    );
    assert.equal(test.engine.asks.open, 1, 'the one whose end was heard while nobody followed');
  });
});
