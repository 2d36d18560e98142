// Goal: what is sent is accepted once and in order, what is received is shown once, whatever happens to the node.
// Method: a fake node on real gRPC that keeps its mail over restarts; it is killed and started again at will.

import { strict as assert } from 'node:assert';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageMarker, newMessageId } from '@fleetwire/kernel';
import { type Agent, connect, FleetwireError, type Message, typedMessage } from '@fleetwire/sdk';
import { eventually, tempFolder } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { bytes, FakeNode } from './fake-node.ts';

const text = (body: Uint8Array) => Buffer.from(body).toString();

describe('sdk', () => {
  let node: FakeNode;
  beforeEach(async () => {
    node = await new FakeNode().start();
  });
  afterEach(() => node.end());

  /** Keeps reading in the background. */
  function collect(agent: Agent): string[] {
    const seen: string[] = [];
    void (async () => {
      for await (const message of agent.messages()) seen.push(message.text);
    })().catch(() => undefined);
    return seen;
  }
  const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => String(from + i));

  it('tells who it is', async () => {
    const agent = await node.attach('alice');
    assert.deepEqual([agent.id, agent.name, agent.node, agent.connected], ['a_alice', 'alice', 'fake', true]);
  });

  it('sends in order, many in a frame, each with an id of its own', async () => {
    const agent = await node.attach('alice');
    const sent = await Promise.all(numbers(3000).map((body) => agent.send('bob', body)));
    assert.deepEqual(
      node.accepted.map((m) => text(m.body)),
      numbers(3000),
    );
    assert.deepEqual(
      sent.map((s) => s.id),
      node.accepted.map((m) => m.id),
    );
    assert(node.frames < 200, `${node.frames} frames`);
    const many = await agent.sendMany(numbers(3000, 3000).map((body) => ({ to: 'bob', body })));
    assert.deepEqual(
      node.accepted.map((m) => text(m.body)),
      numbers(6000),
    );
    assert.equal(many.length, 3000);
  });

  it('shows messages in order and acknowledges each when the next is asked for', async () => {
    const agent = await node.attach('alice', { window: 10 });
    const box = node.box('alice');
    for (const body of numbers(100)) node.deliver('alice', { id: newMessageId(), body: bytes(body) });
    const seen: string[] = [];
    for await (const message of agent.messages()) {
      seen.push(message.text);
      if (seen.length === 100) break;
    }
    assert.deepEqual(seen, numbers(100));
    await eventually(() => box.held.size === 1);
  });

  it('leaves acknowledging to the application when told to, in any order', async () => {
    const agent = await node.attach('alice');
    const box = node.box('alice');
    for (const body of numbers(5)) node.deliver('alice', { id: newMessageId(), body: bytes(body) });
    const messages: Message[] = [];
    for await (const message of agent.messages({ autoAck: false })) if (messages.push(message) === 5) break;
    messages[1]!.ack();
    messages[3]!.ack();
    messages[3]!.ack();
    await eventually(() => box.held.size === 3);
    messages[0]!.ack();
    await eventually(() => box.held.size === 2);
    assert.deepEqual(
      [...box.held.values()].map((d) => text(d.body)),
      ['2', '4'],
    );
  });

  it('asks and is answered, beside other mail', async () => {
    const alice = await node.attach('alice');
    const bob = await node.attach('bob');
    const others = collect(alice);
    void (async () => {
      for await (const message of bob.messages()) {
        await bob.send('alice', 'something else');
        await bob.reply(message, `re: ${message.text}`);
      }
    })();
    const answer = await alice.ask('bob', 'why?', { timeoutMs: 10_000 });
    assert.equal(answer.text, 're: why?');
    await eventually(() => others.length === 1);
    await eventually(() => node.box('alice').held.size === 0);
    const question = node.accepted.find((m) => text(m.body) === 'why?')!;
    assert.equal(answer.replyTo, question.id);
  });

  it('answers what was typed into its terminal, by the marker', async () => {
    await using folder = tempFolder('sdk');
    const path = join(folder.path, 'messages.jsonl');
    const env = { FLEETWIRE_AGENT_MESSAGES: path };
    assert.equal(typedMessage('00000000', env), undefined);
    const [old, last] = [newMessageId(), newMessageId()];
    const line = (id: string) =>
      `${JSON.stringify({ marker: messageMarker(id), id, from: 'bob', correlation_id: old })}\n`;
    writeFileSync(`${path}.1`, line(old));
    writeFileSync(path, line(last));
    assert.deepEqual(typedMessage(messageMarker(old), env), { id: old, from: 'bob', correlationId: old });
    const agent = await node.attach('alice');
    await agent.reply(typedMessage(messageMarker(last), env)!, 'done');
    const { to, replyTo, correlationId } = node.accepted[0]!;
    assert.deepEqual([to, replyTo, correlationId], ['bob', last, old]);
  });

  it('finds the node where it answers now, by the file that the node keeps', async () => {
    await using folder = tempFolder('sdk');
    const file = join(folder.path, 'node.json');
    writeFileSync(file, JSON.stringify({ address: node.address }));
    const env = {
      FLEETWIRE_NODE_FILE: file,
      FLEETWIRE_NODE_ADDRESS: '127.0.0.1:1',
      FLEETWIRE_AGENT: 'alice',
    };
    const agent = await connect({ env });
    FakeNode.attached.push(agent);
    const before = node;
    await before.kill();
    const sending = agent.send('bob', 'hello');
    node = await new FakeNode().start();
    assert.notEqual(node.address, before.address);
    writeFileSync(file, JSON.stringify({ address: node.address }));
    await sending;
    assert.equal(node.accepted.length, 1);
  });

  it('says when no answer comes', async () => {
    const alice = await node.attach('alice');
    await assert.rejects(alice.ask('bob', 'why?', { timeoutMs: 20 }), {
      kind: 'deadline_exceeded',
      reason: 'ASK_TIMEOUT',
    });
    const self = await node.attach('carol');
    collect(self);
    await assert.rejects(self.ask('carol', 'me?', { timeoutMs: 20 }), { reason: 'ASK_TIMEOUT' });
  });

  it('passes refusals on as typed errors and goes on', async () => {
    const agent = await node.attach('alice');
    node.refuse = (m) =>
      text(m.body) === 'no'
        ? { kind: 'resource_exhausted', reason: 'OUTBOX_FULL', retryAfterMs: 7 }
        : undefined;
    const [good, bad, next] = await Promise.allSettled(['a', 'no', 'b'].map((b) => agent.send('bob', b)));
    assert.equal(good!.status, 'fulfilled');
    assert.equal(next!.status, 'fulfilled');
    const error = (bad as PromiseRejectedResult).reason as FleetwireError;
    assert(error instanceof FleetwireError);
    assert.deepEqual(
      [error.kind, error.reason, error.retryAfterMs, error.help],
      ['resource_exhausted', 'OUTBOX_FULL', 7, 'wait'],
    );
    const results = await agent.sendMany([
      { to: 'bob', body: 'no' },
      { to: 'bob', body: 'yes' },
    ]);
    assert.deepEqual(
      results.map((r) => r.error?.reason),
      ['OUTBOX_FULL', undefined],
    );
    await assert.rejects(agent.send('bob', 'x'.repeat(1024 * 1024 + 1)), { reason: 'BODY_TOO_LARGE' });
  });

  it('says which priority a message has, to the node and to its recipient', async () => {
    const [agent, other] = [await node.attach('alice'), await node.attach('bob')];
    const names = ['low', 'normal', 'high', 'system'] as const;
    for (const priority of [...names, undefined]) await agent.send('bob', 'x', { priority });
    assert.deepEqual(
      node.accepted.map((m) => m.priority),
      [1, 2, 3, 4, 0],
    );
    const heard: string[] = [];
    for await (const { priority } of other.messages()) if (heard.push(priority) === 5) break;
    assert.deepEqual(heard, [...names, 'normal']);
  });

  it('refuses at once what cannot be sent, and goes on', async () => {
    const agent = await node.attach('alice');
    const send = (to: unknown, body: unknown, options: object = {}) =>
      agent.send(to as string, body as string, options);
    for (const ttlMs of [-1, 1.5, Number.NaN, 2 ** 40, 3_600_001, '5'])
      await assert.rejects(send('bob', 'x', { ttlMs }), { kind: 'invalid_argument', reason: 'INVALID_TTL' });
    const odd = [
      send(7, 'x'),
      send(undefined, 'x'),
      send('b'.repeat(10_000_000), 'x'),
      send('bob', 7),
      send('bob', undefined),
      send('bob', [1, 2]),
      ...['id', 'contentType', 'correlationId', 'replyTo', 'traceparent'].map((field) =>
        send('bob', 'x', { [field]: 7 }),
      ),
    ];
    for (const sending of odd)
      await assert.rejects(sending, (error: FleetwireError) => {
        assert.deepEqual([error.kind, error.reason], ['invalid_argument', 'INVALID_MESSAGE']);
        return error.help !== undefined;
      });
    for (const priority of ['urgent', '', 3, null, {}, 'HIGH', 'toString'])
      await assert.rejects(send('bob', 'x', { priority }), {
        reason: 'INVALID_MESSAGE',
        details: { field: 'priority' },
      });
    await assert.rejects(agent.ask('bob', 'x', { ttlMs: -1 }), { reason: 'INVALID_TTL' });
    const results = await agent.sendMany([
      { to: 'bob', body: 'a', ttlMs: -1 },
      { to: 'bob', body: 'b', ttlMs: 3_600_000 },
    ]);
    assert.deepEqual(
      results.map((r) => r.error?.reason),
      ['INVALID_TTL', undefined],
    );
    await send('bob', 'c', { ttlMs: 0 });
    assert.deepEqual(
      node.accepted.map((m) => text(m.body)),
      ['b', 'c'],
    );
  });

  it('sends again in order, with the same ids, what a killed node had not answered', async () => {
    const agent = await node.attach('alice');
    await agent.send('bob', '0');
    node.silent = true;
    const sends = numbers(500, 1).map((body) => agent.send('bob', body));
    await eventually(() => node.accepted.length > 100);
    await node.kill();
    assert.equal(await Promise.race([sends[0], Promise.resolve('open')]), 'open');
    node.silent = false;
    await node.start();
    const ids = await Promise.all(sends);
    assert.deepEqual(
      node.accepted.map((m) => text(m.body)),
      numbers(501),
    );
    assert.equal(new Set(ids.map((s) => s.id)).size, 500);
  });

  it('shows each message once over restarts of the node, and acknowledges it in the new session', async () => {
    const agent = await node.attach('alice', { window: 20 });
    const box = node.box('alice');
    const seen = collect(agent);
    let sent = 0;
    for (let round = 0; round < 3; round++) {
      for (const body of numbers(50, sent)) node.deliver('alice', { id: newMessageId(), body: bytes(body) });
      sent += 50;
      await eventually(() => seen.length > sent - 40);
      await node.kill();
      await node.start();
    }
    await eventually(() => seen.length >= sent && box.held.size === 0);
    assert.deepEqual(seen, numbers(150));
  });

  it('does not show again what it has shown and not yet acknowledged', async () => {
    const agent = await node.attach('alice');
    const box = node.box('alice');
    for (const body of numbers(5)) node.deliver('alice', { id: newMessageId(), body: bytes(body) });
    const messages: Message[] = [];
    const loop = agent.messages({ autoAck: false });
    for (let i = 0; i < 4; i++) messages.push((await loop.next()).value as Message);
    await node.kill();
    await node.start();
    node.deliver('alice', { id: newMessageId(), body: bytes('5') });
    for (let i = 0; i < 2; i++) messages.push((await loop.next()).value as Message);
    assert.deepEqual(
      messages.map((m) => m.text),
      numbers(6),
    );
    assert.equal(box.held.size, 6);
    for (const message of messages) message.ack();
    await eventually(() => box.held.size === 0);
  });

  it('does not take mail of another node for what it has seen', async () => {
    const agent = await node.attach('alice');
    const seen = collect(agent);
    node.deliver('alice', { id: newMessageId(), body: bytes('old') });
    await eventually(() => seen.length === 1);
    const before = node;
    await before.kill();
    node = new FakeNode();
    node.node = 'n_1111111111111111';
    await node.startAt(before.address);
    node.deliver('alice', { id: newMessageId(), body: bytes('new') });
    await eventually(() => seen.length === 2);
    await eventually(() => node.box('alice').held.size === 0);
    assert.deepEqual(seen, ['old', 'new']);
  });

  it('holds senders back instead of growing, and refuses beyond a bound', async () => {
    const agent = await node.attach('alice');
    node.silent = true;
    let results: PromiseSettledResult<unknown>[] | undefined;
    const sends = numbers(1024 + 16_384 + 5).map((body) => agent.send('bob', body));
    void Promise.allSettled(sends).then((r) => (results = r));
    await eventually(() => node.accepted.length >= 1024);
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
    assert.equal(node.accepted.length, 1024, 'no more is under way than the bound');
    node.silent = false;
    node.box('alice').wake();
    const settled = await eventually(() => results);
    const refused = settled.filter((r) => r.status === 'rejected').map((r) => r.reason.reason);
    assert.deepEqual(refused, Array(5).fill('SEND_BUFFER_FULL'));
    assert.deepEqual(
      node.accepted.map((m) => text(m.body)),
      numbers(1024 + 16_384),
    );
  });

  it('ends when another client takes over, and says so', async () => {
    const agent = await node.attach('alice');
    const reading = agent.messages().next();
    node.goodbye = 'SUPERSEDED';
    node.box('alice').wake();
    await assert.rejects(reading, { reason: 'SESSION_SUPERSEDED' });
    await assert.rejects(agent.send('bob', 'x'), { reason: 'SESSION_SUPERSEDED' });
  });

  it('close() lets what was sent be accepted and acknowledgements go out, then ends the loops', async () => {
    const agent = await node.attach('alice');
    const seen = collect(agent);
    node.deliver('alice', { id: newMessageId(), body: bytes('one') });
    await eventually(() => seen.length === 1);
    const sends = numbers(2000).map((body) => agent.send('bob', body));
    await agent.close();
    await Promise.all(sends);
    assert.equal(node.box('alice').held.size, 0);
    assert.deepEqual(await agent.messages().next(), { done: true, value: undefined });
    await assert.rejects(agent.send('bob', 'x'), { reason: 'AGENT_CLOSED' });
    await agent.close();
  });

  it('says why it cannot connect', async () => {
    const env = {};
    await assert.rejects(connect({ env }), { reason: 'NODE_ADDRESS_MISSING' });
    await assert.rejects(connect({ address: '127.0.0.1:1', token: '', connectMs: 300 }), {
      kind: 'unavailable',
      reason: 'NODE_UNREACHABLE',
    });
    await assert.rejects(connect({ address: node.address, token: '', window: 0 }), {
      reason: 'INVALID_WINDOW',
    });
    await node.kill();
    node.token = 'right';
    node.tokenOf = 'dave';
    await node.start();
    const wrong = { FLEETWIRE_NODE_ADDRESS: node.address, FLEETWIRE_AGENT_TOKEN: 'wrong' };
    await assert.rejects(connect({ env: wrong }), { reason: 'TOKEN_INVALID' });
    const right = { ...wrong, FLEETWIRE_AGENT_TOKEN: 'right', FLEETWIRE_AGENT: 'called so at its start' };
    const agent = await connect({ env: right });
    FakeNode.attached.push(agent);
    assert.equal(agent.name, 'dave');
  });

  it('carries many thousands of messages a second, in order', async function () {
    this.timeout(60_000);
    const bob = await node.attach('bob', { window: 4096 });
    const alice = await node.attach('alice');
    const count = 20_000;
    const body = new Uint8Array(256);
    let seen = 0;
    const reading = (async () => {
      for await (const _ of bob.messages()) if (++seen === count) return;
    })();
    const started = performance.now();
    await alice.sendMany(Array.from({ length: count }, () => ({ to: 'bob', body })));
    const sent = performance.now();
    await reading;
    const rate = (ms: number) => Math.round((count / ms) * 1000);
    console.log(`      ${rate(sent - started)} sent/s, ${rate(performance.now() - started)} both ways/s`);
    assert.equal(seen, count);
  });
});
