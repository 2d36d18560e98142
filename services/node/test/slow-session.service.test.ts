/**
 * Goal: a client that does not read costs a node a bounded amount of memory and its senders a hint to wait; it is cut off,
 * and goes on where it was: with its mail and with its receipts.
 * Method: a real node, and bare gRPC clients that stop reading on real sockets.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { join } from 'node:path';
import { connect } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { BareClient } from './bare-client.ts';
import { FakeHub } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

const BODY = 'x'.repeat(100_000);

async function sendAll(sender: TestSession, to: string, count: number): Promise<string[]> {
  const refs = Array.from({ length: count }, () => sender.send(to, [BODY])).flat();
  await eventually(() => refs.every((ref) => sender.accepted.has(ref)), { timeoutMs: 20_000 });
  return refs.map((ref) => sender.accepted.get(ref)!);
}

describe('a client that does not read', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  const bare: BareClient[] = [];
  beforeEach(async () => {
    hub = await FakeHub.start();
  });
  afterEach(async () => {
    for (const client of bare.splice(0)) client.close();
    await node.dispose();
    await hub.stop();
  });

  function open(hello: object): BareClient {
    const client = new BareClient(node);
    bare.push(client);
    client.say({ hello });
    return client;
  }
  const status = async (client: ReturnType<TestNode['client']>, name: string) =>
    (await client.listLocalAgents({})).agents.find((agent) => agent.name === name)!;

  it('is cut off, its mail waits and its senders are told, and it goes on with nothing lost', async () => {
    node = await new TestNode(hub, 'left', { slow_ms: '300', queue_messages: '50' }).start();
    const slow = open({ name: 'slow', window: 4096, resuming: true });
    const client = node.client();
    await eventually(async () => (await status(client, 'slow'))?.state === 'attached');
    const sender = await TestSession.open(client, { name: 'sender' });
    const sent = await sendAll(sender, 'slow', 42);
    await eventually(async () => (await status(client, 'slow')).state !== 'attached');
    const after = await status(client, 'slow');
    assert.deepEqual([after.queueDepth, after.busy], [42, true]);
    // Whoever does not read at all is broken off, with all that waits in the stream.
    await eventually(() => slow.resetBy !== undefined);
    assert.equal(slow.resetBy, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    slow.read();
    const again = await TestSession.open(client, {
      name: 'slow',
      window: 4096,
      resuming: true,
      resume: { upTo: 0, also: [] },
    });
    await eventually(() => again.deliveries.length >= 42);
    assert.deepEqual(
      again.deliveries.map(({ id }) => id),
      sent,
    );
    await eventually(async () => (await status(client, 'slow')).queueDepth === 0);
  });

  it('learns why, if it reads again in time', async () => {
    node = await new TestNode(hub, 'left', { slow_ms: '1000' }).start();
    const slow = open({ name: 'slow', window: 4096, resuming: true });
    const client = node.client();
    await eventually(async () => (await status(client, 'slow'))?.state === 'attached');
    const sender = await TestSession.open(client, { name: 'sender' });
    await sendAll(sender, 'slow', 40);
    await eventually(async () => (await status(client, 'slow')).state !== 'attached');
    slow.read();
    await eventually(() => slow.status === '0');
    assert.equal(slow.goodbye, 'SUBSCRIBER_SLOW');
    assert.equal(slow.responses.at(-1)?.goodbye?.reason, 'SUBSCRIBER_SLOW');
  });

  it('finds the receipts that it has not read at its return, and is told of those that are gone', async () => {
    node = await new TestNode(hub, 'left', { slow_ms: '400', receipts_kept: '4000' }).start();
    const client = node.client();
    const hello = { name: 'alice', receipts: true, resuming: true };
    const first = open(hello).read();
    await eventually(() => first.marks().length > 0);
    const cursor = first.marks().at(-1)!.cursor!;
    await TestSession.open(client, { name: 'bob', window: 4096 });
    first.close();
    // Of these nobody reads the receipts.
    const sender = await TestSession.open(client, { name: 'alice' });
    const refs = Array.from({ length: 50 }, () => sender.send('bob', Array(20).fill('.'))).flat();
    await eventually(() => refs.every((ref) => sender.accepted.has(ref)));
    const ids = refs.map((ref) => sender.accepted.get(ref)!);
    const second = open({ ...hello, receiptsAfter: cursor }).read();
    await eventually(() => new Set(second.receiptIds()).size === 1000);
    assert.deepEqual(new Set(second.receiptIds()), new Set(ids));
    assert.ok(second.marks().every((mark) => mark.missed === 0 && !mark.restarted));
    const last = second.marks().at(-1)!.cursor!;
    second.close();
    // Where it was the second time nothing comes again; a place of long ago is told as a gap.
    const more = await TestSession.open(client, { name: 'alice' });
    const many = Array.from({ length: 200 }, () => more.send('bob', Array(20).fill('.'))).flat();
    await eventually(() => many.every((ref) => more.accepted.has(ref)), { timeoutMs: 30_000 });
    const third = open({ ...hello, receiptsAfter: cursor }).read();
    await eventually(() => third.marks().some((mark) => mark.cursor!.seq >= last.seq + 4000));
    const missed = third.marks().reduce((sum, mark) => sum + mark.missed, 0);
    assert.ok(missed > 0);
    assert.equal(missed + third.receiptIds().length, third.marks().at(-1)!.cursor!.seq - cursor.seq);
    const fourth = open({ ...hello, receiptsAfter: { log: 'of yesterday', seq: 7 } }).read();
    await eventually(() => fourth.marks().length > 0);
    assert.equal(fourth.marks()[0]!.restarted, true);
    const fifth = open({ ...hello, receiptsAfter: { ...last, seq: Number.MAX_SAFE_INTEGER } }).read();
    await eventually(() => fifth.marks().length > 0);
    assert.equal(fifth.marks()[0]!.restarted, true);
  });

  it('keeps nobody else: acknowledgements of what was never sent are told, and come to nothing', async () => {
    node = await new TestNode(hub, 'left').start();
    const client = node.client();
    const bob = await TestSession.open(client, { name: 'bob', window: 2 }, false);
    bob.ack(0, [0, 99]);
    bob.ack(Number.MAX_SAFE_INTEGER);
    const unknown = () =>
      bob.responses.map(({ ackUnknown }) => ackUnknown).filter((told) => told !== undefined);
    await eventually(() => unknown().length === 2);
    assert.deepEqual(
      unknown().map(({ reason, sequences, highest }) => [reason, sequences, highest]),
      [
        ['ACK_UNKNOWN', [0, 99], 0],
        ['ACK_UNKNOWN', [Number.MAX_SAFE_INTEGER], 0],
      ],
    );
    const sender = await TestSession.open(client, { name: 'sender' });
    sender.send('bob', ['1', '2', '3']);
    await eventually(() => bob.deliveries.length === 2);
    const [one, two] = bob.deliveries.map(({ sequence }) => sequence);
    // Twice, and of one that is not its own: the second message stays unacknowledged.
    for (let i = 0; i < 2; i++) bob.ack(one!, [two! + 50]);
    await eventually(() => bob.deliveries.length === 3);
    await eventually(() => unknown().length === 4);
    assert.equal((await status(client, 'bob')).queueDepth, 2);
    // Beyond what numbers there are: refused, and typed.
    const odd = open({ name: 'odd' }).read();
    await eventually(() => odd.responses.length > 0);
    odd.say({ ack: { upTo: Number.MAX_SAFE_INTEGER + 1 } });
    await eventually(() => odd.status !== undefined);
    assert.deepEqual([odd.status, /cannot be read/.test(odd.details)], ['3', true]);
  });

  it('the newest of two sessions wins, the other one is told, and a client of the sdk does not fight', async () => {
    node = await new TestNode(hub, 'left').start();
    const client = node.client();
    const address = () =>
      (JSON.parse(readFileSync(join(node.folder.path, 'node.json'), 'utf8')) as { address: string }).address;
    const token = readFileSync(join(node.folder.path, 'admin-token'), 'utf8').trim();
    const agents = [];
    const ends: string[] = [];
    for (let i = 0; i < 4; i++) {
      const agent = await connect({ address, token, name: 'bob' });
      agents.push(agent);
      void (async () => {
        for await (const _ of agent.messages());
      })().catch((error: { reason: string }) => ends.push(error.reason));
      await eventually(() => ends.length === i);
    }
    assert.deepEqual(ends, Array(3).fill('SESSION_SUPERSEDED'));
    const raw = await TestSession.open(client, { name: 'bob' });
    await eventually(() => ends.length === 4);
    const newer = await TestSession.open(client, { name: 'bob' });
    await eventually(() => raw.goodbye === 'SUPERSEDED');
    const numberOf = (session: TestSession) => session.responses.find((r) => r.welcome)!.welcome!.session;
    assert.ok(numberOf(newer) > numberOf(raw));
    for (const agent of agents) await agent.close();
  });
});
