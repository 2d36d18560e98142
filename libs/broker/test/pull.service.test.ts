/**
 * Goal: a pull hands out everything in order, notices every loss, and stays alive through whatever the server does.
 * Method: a real server; consumers removed, re-created and stolen from, the server killed and started again.
 */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { fill, inbox, inboxStream, NODE_CONSUMER, numbers, type Rig, startRig, take, textOf } from './rig.ts';

async function withInbox(rig: Rig): Promise<void> {
  await rig.broker.streams.ensure([inboxStream()], 1);
  await rig.broker.consumers.create(NODE_CONSUMER);
}

const pending = async (rig: Rig) => (await rig.broker.consumers.info('INBOX', 'node-n1'))!;

describe('pull', () => {
  it('hands out in order what was stored before and after, in batches', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    await fill(rig.broker, 250);
    const session = rig.broker.pull('INBOX', 'node-n1', {
      batch: 100,
      firstDelivery: 1,
      onDoubt: assert.fail,
    });
    const first = await take(session, 250);
    await fill(rig.broker, 250, 250);
    const messages = [...first, ...(await take(session, 250))];
    assert.deepEqual(messages.map(textOf), numbers(0, 500));
    assert.deepEqual(
      messages.map((m) => [m.sequence, m.deliverySequence, m.deliveries]),
      messages.map((_, i) => [i + 1, i + 1, 1]),
    );
    assert.equal(messages[0]!.subject, inbox('a1'));
    assert.equal(messages[0]!.header('Nats-Msg-Id'), 'a1-0');
    const kept = (await rig.broker.messages.get('INBOX', 1))!;
    assert.equal(messages[0]!.storedAtUs, kept.storedAtUs);
    for (const message of messages) message.ack();
    await eventually(async () => (await pending(rig)).ackFloor === 500);
    await session.stop();
  });

  it('holds no more than twice the batch while nobody takes', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    await fill(rig.broker, 300);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 20 });
    await eventually(async () => (await pending(rig)).numAckPending >= 20);
    await take(session, 20);
    await eventually(async () => (await pending(rig)).numAckPending >= 40);
    await session.stop();
    assert.ok((await pending(rig)).numAckPending <= 60);
    assert.ok((await take(session, 300)).length <= 40);
  });

  it('gives a message that is larger than the bytes of one request', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    for (const size of [100, 100_000, 100, 200_000, 100])
      await rig.broker.store(inbox('a1'), Buffer.alloc(size), { msgId: `${Math.random()}` });
    const session = rig.broker.pull('INBOX', 'node-n1', {
      batch: 10,
      maxBytes: 10_000,
      onDoubt: assert.fail,
    });
    const sizes = (await take(session, 5)).map((m) => m.data.length);
    assert.deepEqual(sizes, [100, 100_000, 100, 200_000, 100]);
    await session.stop();
  });

  it('goes on when requests lapse', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 5, expiresMs: 1000, onDoubt: assert.fail });
    for (let i = 0; i < 3; i++) {
      const next = take(session, 1);
      await new Promise((resolve) => setTimeout(resolve, 1100)); // longer than a request lives
      await fill(rig.broker, 1, i);
      assert.deepEqual((await next).map(textOf), [String(i)]);
    }
    await session.stop();
  });

  it('gives all that was not acknowledged again, first and in order, from a consumer made anew', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    await fill(rig.broker, 50);
    const before = rig.broker.pull('INBOX', 'node-n1', { batch: 50 });
    const messages = await take(before, 50);
    for (const i of [0, 1, 2, 7]) messages[i]!.ack();
    await eventually(async () => (await pending(rig)).numAckPending === 46);
    await before.stop();
    await rig.broker.consumers.recreate(NODE_CONSUMER);
    await fill(rig.broker, 10, 50);
    const after = rig.broker.pull('INBOX', 'node-n1', { batch: 50, firstDelivery: 1, onDoubt: assert.fail });
    const again = (await take(after, 56)).map(textOf);
    assert.deepEqual(again, [...numbers(3, 4), ...numbers(8, 52)]);
    await after.stop();
  });

  it('asks again for a message that was given back', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    await fill(rig.broker, 1);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 5 });
    const [first] = await take(session, 1);
    first!.nak(10);
    const [second] = await take(session, 1);
    assert.equal(second!.deliveries, 2);
    await session.stop();
  });

  it('is in doubt when somebody else was given a message', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const doubts: string[] = [];
    await fill(rig.broker, 3);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 3, onDoubt: (why) => doubts.push(why) });
    const got = await take(session, 3);
    const thief = rig.broker.pull('INBOX', 'node-n1', { batch: 1 });
    const stolen = take(thief, 1);
    let next = 3;
    await eventually(async () => {
      await fill(rig.broker, 1, next++);
      return doubts.length === 1;
    });
    got.push(...(await take(session, 1000)));
    assert.deepEqual(got.map(textOf), numbers(0, got.length));
    assert.equal((await stolen).length, 1);
    await thief.stop();
  });

  it('is in doubt when the consumer is removed, and when it never was', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const doubts: string[] = [];
    const o = { batch: 3, heartbeatMs: 200, onDoubt: (why: string) => doubts.push(why) };
    const session = rig.broker.pull('INBOX', 'node-n1', o);
    await rig.broker.consumers.remove('INBOX', 'node-n1');
    assert.deepEqual(await take(session, 1), []);
    const never = rig.broker.pull('INBOX', 'never', o);
    assert.deepEqual(await take(never, 1), []);
    assert.equal(doubts.length, 2);
  });

  it('goes on without being asked after doubts, across removal and restart', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 3 });
    await rig.broker.consumers.recreate(NODE_CONSUMER);
    await fill(rig.broker, 2);
    const first = await take(session, 2);
    assert.deepEqual(first.map(textOf), ['0', '1']);
    for (const message of first) message.ack();
    await eventually(async () => (await pending(rig)).ackFloor === 2);
    await rig.nats.kill();
    await rig.nats.restart();
    await eventually(() => rig.broker.connected());
    await fill(rig.broker, 2, 2);
    assert.deepEqual((await take(session, 2)).map(textOf), ['2', '3']);
    await session.stop();
  });

  it('is in doubt when the connection is lost', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const doubts: string[] = [];
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 3, onDoubt: (why) => doubts.push(why) });
    const witness = await rig.connect();
    let delivered = false;
    witness.subscribe('_INBOX.>', (message) => {
      if (textOf(message) === '0') delivered = true;
    });
    await witness.streams.state('INBOX'); // the subscription is there now
    await fill(rig.broker, 1);
    await eventually(() => delivered);
    await pending(rig); // what the server sent before this answer is here
    await rig.nats.kill();
    assert.deepEqual((await take(session, 9)).map(textOf), ['0']);
    assert.deepEqual(doubts, ['the connection was lost']);
  });

  it('asks anew when the heartbeats stop', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const doubts: string[] = [];
    let asked = 0;
    const other = await rig.connect();
    other.subscribe('$JS.API.CONSUMER.MSG.NEXT.INBOX.silent', () => {
      asked++;
    });
    await other.streams.state('INBOX'); // the subscription is there now
    const session = rig.broker.pull('INBOX', 'silent', {
      batch: 3,
      heartbeatMs: 100,
      onDoubt: (why) => doubts.push(why),
    });
    assert.deepEqual(await take(session, 1), []);
    assert.deepEqual(doubts, ['nobody answers the pull']);
    await eventually(() => asked === 2);
  });

  it('acknowledges a whole prefix with one message, where the consumer is made for it', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([{ ...inboxStream(), retention: 'limits' }], 1);
    await rig.broker.consumers.create({ ...NODE_CONSUMER, ack_policy: 'all' });
    await fill(rig.broker, 20);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 20 });
    (await take(session, 20))[9]!.ack();
    await eventually(async () => (await pending(rig)).ackFloor === 10);
    await session.stop();
  });

  it('ends its loop at the end of the connection', async () => {
    await using rig = await startRig();
    await withInbox(rig);
    const session = rig.broker.pull('INBOX', 'node-n1', { batch: 3 });
    const loop = take(session, 1);
    await rig.broker.close();
    assert.deepEqual(await loop, []);
  });

  it('is refused when it makes no sense', async () => {
    await using rig = await startRig();
    assert.throws(() => rig.broker.pull('INBOX', 'x', { batch: 0 }), { reason: 'INVALID_PULL' });
  });
});
