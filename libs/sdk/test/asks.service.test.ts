// Goal: a question ends by its answer, by its end, by time or by its asker, and whoever answers knows which of these it was.
// Method: a fake node on real gRPC that says what a node would say, and keeps what it was told.

import { strict as assert } from 'node:assert';
import { Receipt, Stage } from '@fleetwire/gen/message';
import { newMessageId } from '@fleetwire/kernel';
import type { Agent, FleetwireError, Message } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { bytes, FakeNode } from './fake-node.ts';

describe('questions', () => {
  let node: FakeNode;
  let alice: Agent;
  beforeEach(async () => {
    node = await new FakeNode().start();
    alice = await node.attach('alice');
  });
  afterEach(() => node.end());

  const asked = () => eventually(() => node.accepted.find((m) => m.answerWithinMs > 0));
  const cancels = () => node.accepted.filter((m) => m.cancels !== '');
  function tell(receipt: Partial<Receipt>): void {
    node.say.push({ receipts: { receipts: [Receipt.fromPartial(receipt)] } });
    node.box('alice').wake();
  }
  async function next(agent: Agent): Promise<Message> {
    return (await agent.messages().next()).value as Message;
  }

  it('say how long their answer is waited for, and nothing of a time to live of their own', async () => {
    const answer = alice.ask('bob', 'why?', { timeoutMs: 20_000 });
    const { id, answerWithinMs, ttlMs, cancels: takesBack } = await asked();
    assert.deepEqual([answerWithinMs, ttlMs, takesBack], [20_000, 0, '']);
    node.deliver('alice', { id: newMessageId(), body: bytes('so'), replyTo: id });
    node.box('alice').wake();
    assert.equal((await answer).text, 'so');
    for (const timeoutMs of [0, -1, 1.5, 86_400_001])
      await assert.rejects(alice.ask('bob', 'x', { timeoutMs }), { reason: 'INVALID_MESSAGE' });
  });

  it('are taken back when their time is over, where and as they were sent', async () => {
    const late = alice.ask('bob', 'why?', { timeoutMs: 30, priority: 'high', correlationId: 'talk' });
    await assert.rejects(late, { kind: 'deadline_exceeded', reason: 'ASK_TIMEOUT' });
    const [question, cancel] = await eventually(() => node.accepted.length === 2 && node.accepted);
    assert.equal(cancel!.cancels, question!.id);
    assert.deepEqual([cancel!.to, cancel!.priority, cancel!.body.length], ['bob', question!.priority, 0]);
    assert.deepEqual([cancel!.ttlMs, cancel!.correlationId], [30, 'talk']);
  });

  it('are taken back by their asker; one that was not sent yet is not sent at all', async () => {
    const stop = new AbortController();
    const first = alice.ask('bob', 'why?', { signal: stop.signal });
    const { id } = await asked();
    stop.abort(new Error('never mind'));
    await assert.rejects(first, { kind: 'cancelled', reason: 'ASK_CANCELLED', details: { message_id: id } });
    await eventually(() => cancels()[0]?.cancels === id);
    await assert.rejects(alice.ask('bob', 'and?', { signal: stop.signal }), { reason: 'ASK_CANCELLED' });
    await node.kill();
    const again = new AbortController();
    const unsent = alice.ask('bob', 'unsent', { signal: again.signal });
    await new Promise((resolve) => setImmediate(resolve));
    again.abort();
    await assert.rejects(unsent, { reason: 'ASK_CANCELLED' });
    await node.startAt(node.address);
    await alice.send('bob', 'after');
    assert.equal(node.accepted.length, 3);
    assert.equal(cancels().length, 1);
  });

  it('fail at once when nobody gets them, with the reason', async () => {
    for (const [reason, kind, stage] of [
      ['UNKNOWN_AGENT', 'not_found', Stage.DEAD],
      ['QUEUE_FULL', 'resource_exhausted', Stage.RETURNED],
      ['TTL_EXPIRED', 'deadline_exceeded', Stage.EXPIRED],
    ] as const) {
      const id = newMessageId();
      const answer = alice.ask('bob', 'why?', { id });
      await eventually(() => node.accepted.some((m) => m.id === id));
      tell({ messageId: id, recipient: 'a_bob', stage: Stage.HELD });
      tell({ messageId: id, recipient: 'a_bob', stage, final: true, reason, detail: 'so it is' });
      await assert.rejects(answer, { kind, reason, message: /so it is/ });
    }
    assert.equal(cancels().length, 0);
  });

  it('to many wait for the first answer, whoever has it not', async () => {
    const answer = alice.ask('#ops', 'who?');
    const { id } = await asked();
    tell({ messageId: id, recipient: 'a_bob', stage: Stage.RETURNED, final: true, reason: 'QUEUE_FULL' });
    node.deliver('alice', { id: newMessageId(), body: bytes('me'), replyTo: id }, 'carol');
    node.deliver('alice', { id: newMessageId(), body: bytes('me too'), replyTo: id }, 'dave');
    node.box('alice').wake();
    assert.equal((await answer).from, 'carol');
    assert.equal((await next(alice)).from, 'dave');
    const nobody = alice.ask('#nobody', 'who?');
    const second = await eventually(() => node.accepted.find((m) => m.to === '#nobody'));
    tell({ messageId: second.id, stage: Stage.DEAD, final: true, reason: 'UNKNOWN_CHANNEL' });
    await assert.rejects(nobody, { reason: 'UNKNOWN_CHANNEL' });
  });

  it('to whoever can do something are taken back from the one who was chosen, once that is known', async () => {
    for (const [known, final] of [
      [true, false],
      [false, false],
      [false, true],
    ] as const) {
      const id = newMessageId();
      const stop = new AbortController();
      const answer = alice.ask('?review', 'mine?', { id, signal: stop.signal });
      const stage = final ? Stage.CONFIRMED : Stage.HELD;
      const held = { messageId: id, recipient: 'a_bob', recipientName: 'bob', stage, final };
      await eventually(() => node.accepted.some((m) => m.id === id));
      if (known) {
        tell(held);
        await eventually(() => node.say.length === 0);
        await alice.send('x', 'the receipt has come by now');
      }
      stop.abort();
      await assert.rejects(answer, { reason: 'ASK_CANCELLED' });
      if (!known) tell(held);
      const cancel = await eventually(() => cancels().find((m) => m.cancels === id));
      assert.equal(cancel.to, 'bob');
    }
  });

  it('that are answered too late, or to a process of before, bring their answer as any message', async () => {
    const late = alice.ask('bob', 'why?', { timeoutMs: 20 });
    const { id } = await asked();
    await assert.rejects(late, { reason: 'ASK_TIMEOUT' });
    node.deliver('alice', { id: newMessageId(), body: bytes('late'), replyTo: id });
    node.box('alice').wake();
    const message = await next(alice);
    assert.deepEqual([message.text, message.replyTo], ['late', id]);
    await alice.close();
    node.deliver('alice', { id: newMessageId(), body: bytes('later'), replyTo: id });
    const restarted = await node.attach('alice', { redeliver: true });
    const texts: string[] = [];
    for await (const { text } of restarted.messages()) if (texts.push(text) === 2) break;
    assert.deepEqual(texts, ['late', 'later']);
  });

  it('tell who answers until when, and that nobody waits any more', async () => {
    const bob = await node.attach('bob');
    const ask = (answerWithinMs: number) =>
      node.deliver('bob', { id: newMessageId(), body: bytes('?'), answerWithinMs });
    for (const ms of [60_000, 30, 60_000, 0]) ask(ms);
    node.box('bob').wake();
    const messages: Message[] = [];
    for await (const message of bob.messages()) if (messages.push(message) === 4) break;
    const [open, short, answered, plain] = messages as [Message, Message, Message, Message];
    assert(open.deadline!.getTime() > Date.now() + 50_000);
    assert.equal(plain.deadline, undefined);
    for (const { signal } of messages) assert.equal(signal.aborted && signal !== short.signal, false);
    await bob.reply(answered, 'done');
    node.say.push({ cancelled: { ids: [open.id, answered.id, plain.id, newMessageId()] } });
    node.box('bob').wake();
    await eventually(() => open.signal.aborted && short.signal.aborted);
    assert.equal(open.signal.reason.reason, 'ASK_CANCELLED');
    assert.equal(short.signal.reason.reason, 'ASK_TIMEOUT');
    assert.deepEqual([answered.signal.aborted, plain.signal.aborted], [false, false]);
  });

  it('a question that was taken back unread says so at first sight', async () => {
    const bob = await node.attach('bob');
    const id = newMessageId();
    node.deliver('bob', { id, body: bytes('?'), answerWithinMs: 60_000 });
    node.box('bob').wake();
    await eventually(() => node.box('bob').attempted > 0);
    node.say.push({ cancelled: { ids: [id] } });
    node.box('bob').wake();
    await eventually(() => node.say.length === 0);
    await bob.send('alice', 'it has been heard by now');
    assert.equal((await next(bob)).signal.aborted, true);
  });
});

describe('signals', () => {
  let node: FakeNode;
  beforeEach(async () => {
    node = await new FakeNode().start();
  });
  afterEach(() => node.end());

  it('end a send that waits, and say whether the node may have it', async () => {
    const alice = await node.attach('alice');
    node.silent = true;
    const stop = new AbortController();
    const sent = alice.send('bob', '1', { signal: stop.signal });
    await eventually(() => node.accepted.length === 1);
    await node.kill();
    const unsent = alice.send('bob', '2', { signal: stop.signal });
    stop.abort();
    const was = (sent: 'no' | 'maybe') => (error: FleetwireError) =>
      error.reason === 'SEND_CANCELLED' && error.details['sent'] === sent;
    await assert.rejects(sent, was('maybe'));
    await assert.rejects(unsent, was('no'));
    await assert.rejects(alice.send('bob', '3', { signal: stop.signal }), was('no'));
    node.silent = false;
    await node.startAt(node.address);
    await alice.send('bob', '4');
    assert.deepEqual(
      node.accepted.map((m) => Buffer.from(m.body).toString()),
      ['1', '4'],
    );
  });

  it('end a loop over messages, which loses none', async () => {
    const bob = await node.attach('bob');
    const stop = new AbortController();
    const seen: string[] = [];
    const loop = (async () => {
      for await (const { text } of bob.messages({ signal: stop.signal })) seen.push(text);
    })();
    node.deliver('bob', { id: newMessageId(), body: bytes('1') });
    node.box('bob').wake();
    await eventually(() => seen.length === 1);
    stop.abort();
    await loop;
    node.deliver('bob', { id: newMessageId(), body: bytes('2') });
    node.box('bob').wake();
    for await (const { text } of bob.messages()) if (seen.push(text) === 2) break;
    assert.deepEqual(seen, ['1', '2']);
  });
});
