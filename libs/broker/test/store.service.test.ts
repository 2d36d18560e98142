/**
 * Goal: a publish ends as stored, refused or in doubt, never as a guess, also when the server dies or falls silent.
 * Method: a real server with a small inbox stream; SIGKILL and SIGSTOP while publishes are on their way.
 */

import assert from 'node:assert/strict';
import { connectBroker } from '@fleetwire/broker';
import type { FleetwireError } from '@fleetwire/kernel';
import { eventually, plainConfig, startTestNats } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { fill, inbox, inboxStream, startRig } from './rig.ts';

const body = Buffer.from('hello');

describe('store', () => {
  it('tells the sequence, and a second message of one id', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([inboxStream()], 1);
    const first = await rig.broker.store(inbox('a1'), body, {
      msgId: 'm1',
      traceparent: '00-ab',
      correlationId: 'c',
    });
    assert.deepEqual(first, { sequence: 1, duplicate: false });
    assert.deepEqual(await rig.broker.store(inbox('a1'), body, { msgId: 'm1' }), {
      sequence: 1,
      duplicate: true,
    });
    const kept = await rig.broker.messages.get('INBOX', 1);
    assert.equal(kept?.header('Nats-Msg-Id'), 'm1');
    assert.equal(kept?.header('traceparent'), '00-ab');
    assert.equal(kept?.header('fw-correlation-id'), 'c');
    assert.deepEqual(kept?.data, body);
  });

  it('is refused by the bound of one subject, and then nothing is remembered', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([inboxStream(2)], 1);
    await fill(rig.broker, 2);
    const refused = rig.broker.store(inbox('a1'), body, { msgId: 'more' });
    await assert.rejects(refused, { kind: 'resource_exhausted', reason: 'STREAM_FULL' });
    await rig.broker.store(inbox('a2'), body, { msgId: 'other' });
    assert.equal(await rig.broker.messages.deleteMessage('INBOX', 1), true);
    assert.equal(await rig.broker.messages.deleteMessage('INBOX', 1), false);
    assert.equal((await rig.broker.store(inbox('a1'), body, { msgId: 'more' })).duplicate, false);
  });

  it('says when no stream has the subject, and what is too large', async () => {
    await using rig = await startRig({ maxInFlight: 2, publishTimeoutMs: 60_000 });
    await assert.rejects(rig.broker.store(inbox('a1'), body, { msgId: 'm' }), { reason: 'NO_RESPONDERS' });
    const large = Buffer.alloc(rig.broker.maxPayload);
    for (let i = 0; i < 3; i++)
      await assert.rejects(rig.broker.store(inbox('a1'), large, { msgId: 'm' }), {
        reason: 'PAYLOAD_TOO_LARGE',
      });
    // None of them is counted as under way.
    await rig.broker.streams.ensure([inboxStream()], 1);
    assert.equal((await rig.broker.store(inbox('a1'), body, { msgId: 'm' })).sequence, 1);
  });

  it('takes no late answer for that of another publish', async () => {
    await using rig = await startRig({ maxInFlight: 1, publishTimeoutMs: 300 });
    const { broker } = rig;
    await broker.streams.ensure([inboxStream()], 1);
    const store = (id: string, timeoutMs?: number) =>
      broker.store(inbox('a1'), body, { msgId: id, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    let stored = 0;
    process.kill(rig.nats.server.pid, 'SIGSTOP');
    try {
      // It may still answer some before it stands still.
      await assert.rejects(
        async () => {
          for (;;) stored = (await store(`m${stored}`)).sequence;
        },
        { reason: 'PUBLISH_IN_DOUBT' },
      );
    } finally {
      process.kill(rig.nats.server.pid, 'SIGCONT');
    }
    assert.equal((await store('next', 10_000)).sequence, stored + 2);
  });

  it('waits its turn beyond the window, in order, and refuses what is beyond that', async () => {
    await using rig = await startRig({ maxInFlight: 4, maxWaiting: 20 });
    await rig.broker.streams.ensure([inboxStream()], 1);
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, (_, i) => rig.broker.store(inbox('a1'), body, { msgId: `m${i}` })),
    );
    const sequences = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value.sequence] : []));
    assert.deepEqual(
      sequences,
      Array.from({ length: 24 }, (_, i) => i + 1),
    );
    const reasons = results.flatMap((r) =>
      r.status === 'rejected' ? [(r.reason as FleetwireError).reason] : [],
    );
    assert.deepEqual(new Set(reasons), new Set(['TOO_MANY_REQUESTS']));
  });

  it('is in doubt when the server dies; nothing waits for its return; the generation grows', async () => {
    await using rig = await startRig({ maxInFlight: 100_000 });
    const { broker } = rig;
    await broker.streams.ensure([inboxStream(100_000)], 1);
    const order: string[] = [];
    broker.onDisconnect(() => order.push('disconnected'));
    broker.onGeneration((generation) => order.push(`generation ${generation}`));
    const killed = rig.nats.kill();
    const publishes = Array.from({ length: 20_000 }, (_, i) =>
      broker.store(inbox('a1'), body, { msgId: `m${i}` }).then(
        () => 'stored',
        (error: FleetwireError) => error.reason,
      ),
    );
    await killed;
    const ends = new Set(await Promise.all(publishes));
    assert.ok(ends.has('PUBLISH_IN_DOUBT'));
    for (const end of ends) assert.ok(['stored', 'PUBLISH_IN_DOUBT'].includes(end), end);
    await eventually(() => !broker.connected());
    await assert.rejects(broker.store(inbox('a1'), body, { msgId: 'away' }), { reason: 'NOT_CONNECTED' });
    assert.throws(() => broker.publish('x', body), { reason: 'NOT_CONNECTED' });
    await rig.nats.restart();
    await eventually(() => broker.connected());
    assert.equal(broker.generation(), 2);
    assert.deepEqual(order, ['disconnected', 'generation 2']);
    await broker.store(inbox('a2'), body, { msgId: 'after' });
    assert.equal(await broker.messages.lastBySubject('INBOX', inbox('away')), undefined);
  });

  it('is in doubt within seconds when the server falls silent, however much was written', async () => {
    await using rig = await startRig({ pingIntervalMs: 300, maxPingOut: 3, publishTimeoutMs: 60_000 });
    const { broker } = rig;
    await broker.streams.ensure([inboxStream()], 1);
    const before = broker.generation();
    process.kill(rig.nats.server.pid, 'SIGSTOP');
    try {
      const large = Buffer.alloc(1024 * 1024);
      const ends = Array.from({ length: 32 }, (_, i) => broker.store(inbox('a1'), large, { msgId: `m${i}` }));
      for (const end of await Promise.allSettled(ends)) {
        assert.equal(end.status, 'rejected');
        assert.equal((end.reason as FleetwireError).reason, 'PUBLISH_IN_DOUBT');
      }
    } finally {
      process.kill(rig.nats.server.pid, 'SIGCONT');
    }
    await eventually(() => broker.connected());
    assert.equal(broker.generation(), before + 1);
  });

  it('is in doubt when no answer comes in time', async () => {
    await using rig = await startRig({ publishTimeoutMs: 300 });
    const silent = await rig.connect();
    silent.subscribe('nobody.answers', () => undefined);
    await silent.request('$SYS.REQ.USER.INFO', body, 1000).catch(() => undefined); // the subscription is there now
    await assert.rejects(rig.broker.store('nobody.answers', body, { msgId: 'm' }), {
      reason: 'PUBLISH_IN_DOUBT',
    });
  });
});

describe('core messages', () => {
  it('are answered, with headers, and a lack of answerers is told', async () => {
    await using rig = await startRig();
    const service = await rig.connect();
    service.subscribe(
      'echo',
      (m) => m.respond(Buffer.from(`${m.header('h')} ${Buffer.from(m.data).toString()}`)),
      {
        queue: 'q',
      },
    );
    const answer = await eventually(() => rig.broker.request('echo', body, 1000, { h: 'x' }));
    assert.equal(Buffer.from(answer).toString(), 'x hello');
    await assert.rejects(rig.broker.request('nobody', body, 1000), { reason: 'NO_RESPONDERS' });
  });

  it('reach a handler that threw before, and the fault is told', async () => {
    const faults: unknown[] = [];
    await using rig = await startRig({ onFault: (error) => faults.push(error) });
    const heard: string[] = [];
    rig.broker.subscribe('news', (m) => {
      heard.push(Buffer.from(m.data).toString());
      if (heard.length === 1) throw new Error('once');
    });
    rig.broker.publish('news', Buffer.from('1'));
    rig.broker.publish('news', Buffer.from('2'));
    await eventually(() => heard.length === 2);
    assert.deepEqual(heard, ['1', '2']);
    assert.equal(faults.length, 1);
  });
});

describe('connecting', () => {
  it('names what it cannot do', async () => {
    await using rig = await startRig();
    const nowhere = rig.connect({ urls: ['nats://127.0.0.1:1'], waitMs: 0 });
    await assert.rejects(nowhere, { kind: 'unavailable', reason: 'NATS_UNREACHABLE' });
    await assert.rejects(rig.connect({ minPayload: 2 ** 22 }), { reason: 'MAX_PAYLOAD_TOO_SMALL' });
    await assert.rejects(rig.connect({ credsFile: '/nowhere.creds' }), { reason: 'CREDENTIALS_UNREADABLE' });
    await assert.rejects(rig.connect({ urls: ['nats://'] }), { reason: 'INVALID_NATS_URL' });
  });

  it('waits for a server that is late', async () => {
    await using rig = await startRig();
    await rig.nats.kill();
    const late = rig.connect({ waitMs: 20_000 });
    await rig.nats.restart();
    assert.equal((await late).connected(), true);
  });

  it('goes on trying while the credentials are refused', async () => {
    let password = 'right';
    const login = (place: { dir: string; port: number }) =>
      `${plainConfig(place)}\nauthorization { user: u, password: ${password} }\n`;
    await using nats = await startTestNats({ config: login });
    const o = { urls: [`nats://u:right@127.0.0.1:${nats.port}`], name: 'test' };
    const broker = await connectBroker({ ...o, reconnect: { initialMs: 10, maxMs: 20 } });
    password = 'wrong';
    await nats.kill();
    await nats.restart();
    await assert.rejects(connectBroker({ ...o, waitMs: 0 }), {
      kind: 'unauthenticated',
      reason: 'NATS_REFUSED',
    });
    await new Promise((resolve) => setTimeout(resolve, 300)); // many refused tries
    password = 'right';
    await nats.kill();
    await nats.restart();
    await eventually(() => broker.connected());
    assert.equal(broker.generation(), 2);
    await broker.close();
  });

  it('ends by drain with what is outstanding stored', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([inboxStream()], 1);
    const leaving = await rig.connect();
    let closed = false;
    leaving.onClosed(() => {
      closed = true;
    });
    const stored = leaving.store(inbox('a1'), body, { msgId: 'm' });
    await leaving.drain();
    assert.equal((await stored).sequence, 1);
    assert.equal(leaving.connected(), false);
    await eventually(() => closed);
    await assert.rejects(leaving.store(inbox('a1'), body, { msgId: 'n' }), { reason: 'NOT_CONNECTED' });
  });
});
