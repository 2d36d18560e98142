/**
 * Goal: streams and consumers are made once, never altered, and what differs is named field by field.
 * Method: a real server; configurations that differ from what is there.
 */

import assert from 'node:assert/strict';
import {
  bootstrapConsumers,
  filters,
  ingressSubject,
  routerConsumer,
  streamSpecs,
} from '@fleetwire/contract';
import { describe, it } from 'mocha';
import { fill, inbox, inboxStream, NODE_CONSUMER, startRig, take } from './rig.ts';

describe('streams', () => {
  it('are created where they are missing, and verified', async () => {
    await using rig = await startRig();
    const specs = streamSpecs();
    await assert.rejects(rig.broker.streams.verify(specs), {
      kind: 'failed_precondition',
      reason: 'STREAM_MISSING',
      message: 'no stream INGRESS, INBOX, RECEIPTS, DEAD, EVENTS, MESSAGES',
    });
    await rig.broker.streams.ensure(specs, 1);
    await rig.broker.streams.ensure(specs, 1);
    await rig.broker.streams.verify(specs, 1);
    assert.equal((await rig.broker.streams.state('INBOX'))?.messages, 0);
    assert.equal(await rig.broker.streams.state('NONE'), undefined);
  });

  it('tell whether a subject, or all of it, is full', async () => {
    await using rig = await startRig();
    const { streams } = rig.broker;
    const spec = { ...inboxStream(2), max_bytes: 64 * 1024 };
    await streams.ensure([spec], 1);
    assert.equal(await streams.isFull('INBOX', inbox('a1'), 10), false);
    await fill(rig.broker, 2);
    assert.equal(await streams.isFull('INBOX', inbox('a1'), 10), true);
    assert.equal(await streams.isFull('INBOX', inbox('a2'), 10), false);
    assert.equal(await streams.isFull('INBOX', inbox('a2'), 64 * 1024), true);
    const large = Buffer.alloc(64 * 1024);
    const refused = rig.broker.store(inbox('a2'), large, { msgId: 'large' });
    await assert.rejects(refused, { reason: 'STREAM_FULL' });
    assert.equal(await streams.isFull('NONE', inbox('a1'), 10), false);
  });

  it('tell how much is in them, by subject', async () => {
    await using rig = await startRig();
    const { streams } = rig.broker;
    await streams.ensure([inboxStream()], 1);
    const counts = async (filter: string) => (await streams.countBySubject('INBOX', filter, 1000))!;
    assert.deepEqual((await counts(filters.allInbox)).subjects, new Map());
    await fill(rig.broker, 3);
    await fill(rig.broker, 2, 0, 'a2');
    const { subjects, messages, bytes, maxBytes } = await counts(filters.allInbox);
    assert.deepEqual(
      subjects,
      new Map([
        [inbox('a1'), 3],
        [inbox('a2'), 2],
      ]),
    );
    assert.deepEqual([messages, bytes > 0, maxBytes], [5, true, inboxStream().max_bytes]);
    assert.deepEqual((await counts(inbox('a2'))).subjects, new Map([[inbox('a2'), 2]]));
    assert.equal(await streams.countBySubject('NONE', filters.allInbox, 1000), undefined);
  });

  it('are never altered: every field that differs is named', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([inboxStream(2)], 1);
    const other = { ...inboxStream(3), max_age: 5e9, subjects: ['x.>'] };
    await assert.rejects(rig.broker.streams.ensure([other], 3), {
      reason: 'STREAM_DRIFT',
      message:
        'stream INBOX: max_msgs_per_subject should be 3, is 2; max_age should be 5000000000, is 7200000000000; ' +
        'subjects should be ["x.>"], is ["fw.v1.inbox.>"]; num_replicas should be 3, is 1',
    });
  });
});

describe('consumers', () => {
  it('are created, listed, verified, removed', async () => {
    await using rig = await startRig();
    const { streams, consumers } = rig.broker;
    await streams.ensure(streamSpecs(), 1);
    for (const spec of bootstrapConsumers(3)) await consumers.create(spec);
    for (const spec of bootstrapConsumers(3)) await consumers.create(spec);
    const names = (await consumers.list('INGRESS')).toSorted();
    assert.deepEqual(names, ['delivery-history', 'router-p0-e0', 'router-p1-e0', 'router-p2-e0']);
    assert.equal(await consumers.remove('INGRESS', 'router-p0-e0'), true);
    assert.equal(await consumers.remove('INGRESS', 'router-p0-e0'), false);
    assert.equal(await consumers.info('INGRESS', 'router-p0-e0'), undefined);
    await assert.rejects(consumers.verify(routerConsumer(0, 0)), { reason: 'CONSUMER_MISSING' });
  });

  it('are never overwritten: every field that differs is named', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([inboxStream()], 1);
    await rig.broker.consumers.create(NODE_CONSUMER);
    const other = { ...NODE_CONSUMER, ack_wait: 5e9, max_ack_pending: 7 };
    const report = {
      kind: 'failed_precondition',
      reason: 'CONSUMER_DRIFT',
      message:
        'consumer node-n1: ack_wait should be 5000000000, is 30000000000; max_ack_pending should be 7, is 4096',
    };
    await assert.rejects(rig.broker.consumers.create(other), report);
    await assert.rejects(rig.broker.consumers.verify(other), report);
    await rig.broker.consumers.verify(NODE_CONSUMER);
    await rig.broker.consumers.recreate(other);
    await rig.broker.consumers.verify(other);
  });

  it('do not share a filter on a work queue', async () => {
    await using rig = await startRig();
    await rig.broker.streams.ensure([inboxStream()], 1);
    await rig.broker.consumers.create(NODE_CONSUMER);
    const second = rig.broker.consumers.create({ ...NODE_CONSUMER, durable_name: 'second' });
    await assert.rejects(second, { reason: 'CONSUMERS_OVERLAP' });
  });

  it('begin where they are told, and say so before anything is acknowledged', async () => {
    await using rig = await startRig();
    const { broker } = rig;
    await broker.streams.ensure(streamSpecs(), 1);
    for (const spec of bootstrapConsumers(1)) await broker.consumers.create(spec);
    const subject = ingressSubject.build({ partition: 0, org: 'o1', node: 'n1' });
    for (let i = 0; i < 9; i++) await broker.store(subject, Buffer.from('x'), { msgId: `m${i}` });
    assert.equal((await broker.consumers.info('INGRESS', 'router-p0-e0'))?.ackFloor, 0);
    await broker.consumers.create(routerConsumer(0, 5), { startSequence: 4 });
    await broker.consumers.verify(routerConsumer(0, 5));
    assert.equal((await broker.consumers.info('INGRESS', 'router-p0-e5'))?.ackFloor, 3);
    const session = broker.pull('INGRESS', 'router-p0-e5', {
      batch: 3,
      firstDelivery: 1,
      onDoubt: assert.fail,
    });
    const messages = await take(session, 6);
    assert.deepEqual(
      messages.map((m) => m.sequence),
      [4, 5, 6, 7, 8, 9],
    );
    await session.stop();
  });
});

describe('stored messages', () => {
  it('are found by sequence and by subject', async () => {
    await using rig = await startRig();
    const { messages, streams } = rig.broker;
    await streams.ensure([inboxStream()], 1);
    await fill(rig.broker, 2, 0, 'a1');
    await fill(rig.broker, 2, 0, 'a2');
    const first = await messages.get('INBOX', 1);
    assert.equal((await messages.lastBySubject('INBOX', first!.subject))?.sequence, 2);
    assert.equal((await messages.nextBySubject('INBOX', first!.subject, 2))?.sequence, 2);
    assert.equal(await messages.nextBySubject('INBOX', first!.subject, 3), undefined);
    assert.equal(await messages.get('INBOX', 99), undefined);
    assert.equal(await messages.deleteMessage('INBOX', 99), false);
  });
});
