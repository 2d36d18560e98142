/**
 * Goal: accepted means on the disk, once, within bounds; local mail goes straight to the inbox and also to history.
 * Method: a real database file, closed without notice and opened again.
 */

import assert from 'node:assert/strict';
import { Envelope, Stage } from '@fleetwire/gen/message';
import type { Outgoing } from '@fleetwire/gen/node';
import { newMessageId } from '@fleetwire/kernel';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { confirmed } from '../src/domain/receipt.ts';
import { sendOnce } from '../src/mail/send-once.ts';
import {
  addAgent,
  NODE,
  outgoing,
  receiptsFor,
  refusalOf,
  type TestEngine,
  TestTaker,
  testEngine,
} from './engine-fixture.ts';

describe('acceptance', () => {
  let test: TestEngine;
  beforeEach(async () => {
    test = await testEngine({ outbox_messages: 10, history_messages: 3 });
    await addAgent(test.engine, 'alice');
  });
  afterEach(() => test.close());

  const send = (to: string, more = {}) =>
    sendOnce(test.engine, test.engine.book.named('alice'), outgoing(to, 'hello', more));

  it('keeps what it accepted across a crash, in order', async () => {
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await send('far')).id);
    test = await test.crash();
    const pack = test.engine.outbox.nextPack()!;
    assert.deepEqual(
      pack.rows.map((row) => row.id),
      ids,
    );
    const envelope = Envelope.decode(pack.rows[0]!.envelope);
    assert.deepEqual(
      [envelope.fromName, envelope.fromNode, envelope.to, envelope.ttlMs, envelope.correlationId],
      ['alice', NODE, 'far', 300_000, ids[0]],
    );
  });

  it('answers a repeated send with the first acceptance, also after a crash and after it was published', async () => {
    const id = newMessageId();
    const first = await send('far', { id, correlationId: 'talk-1' });
    assert.deepEqual(await send('far', { id }), first);
    test = await test.crash();
    assert.deepEqual(await send('far', { id }), first);
    const pack = test.engine.outbox.nextPack()!;
    assert.equal(pack.rows.length, 1);
    const runs = test.engine.outbox.settle(pack);
    await test.engine.turns.run(() => test.engine.tables.outbox.delete(runs));
    assert.equal((await send('far', { id })).correlationId, 'talk-1');
    assert.equal(test.engine.outbox.depth, 0);
  });

  it('refuses an id that another agent has used', async () => {
    const { id } = await send('far');
    const bob = await addAgent(test.engine, 'bob');
    const error = await refusalOf(() => sendOnce(test.engine, bob, outgoing('far', 'x', { id })));
    assert.equal(error.reason, 'MESSAGE_ID_TAKEN');
  });

  it('refuses a known id with another recipient or body, also after a crash', async () => {
    const { id } = await send('far');
    for (const again of ['now', 'after a crash']) {
      for (const more of [{ to: 'far2' }, { body: new TextEncoder().encode(again) }]) {
        const error = await refusalOf(() => send('far', { id, ...more }));
        assert.deepEqual([error.kind, error.reason], ['already_exists', 'MESSAGE_ID_REUSED']);
      }
      assert.equal((await send('far', { id })).id, id);
      test = await test.crash();
    }
    assert.equal(test.engine.outbox.depth, 1);
    const split = await send('far', { body: new TextEncoder().encode('1 hello') });
    const moved = { id: split.id, to: 'far1', body: new TextEncoder().encode(' hello') };
    assert.equal((await refusalOf(() => send('far', moved))).reason, 'MESSAGE_ID_REUSED');
  });

  it('refuses beyond the share of one agent, with retry information, and leaves others theirs', async () => {
    for (let i = 0; i < 10; i++) await send('far');
    const error = await refusalOf(() => send('far'));
    assert.deepEqual([error.kind, error.reason], ['resource_exhausted', 'OUTBOX_FULL']);
    assert.ok(error.retryAfterMs! > 0);
    const bob = await addAgent(test.engine, 'bob');
    await sendOnce(test.engine, bob, outgoing('far'));
  });

  it('refuses what can never be delivered, each with its reason', async () => {
    const reasons: Record<string, Partial<Outgoing>> = {
      INVALID_ADDRESS: { to: 'no such thing' },
      BODY_TOO_LARGE: { body: new Uint8Array(1024 * 1024 + 1) },
      TTL_TOO_LONG: { ttlMs: 3_600_001 },
      INVALID_MESSAGE: { id: 'NOT-AN-ID' },
    };
    for (const [reason, more] of Object.entries(reasons))
      assert.equal((await refusalOf(() => send('far', more))).reason, reason);
    await send('far', { body: new Uint8Array(1024 * 1024) });
  });

  it('leaves it to the hub who gets what asks for a capability, also where an agent has that name', async () => {
    await addAgent(test.engine, 'review');
    await send('?Review');
    const envelope = Envelope.decode(test.engine.outbox.nextPack()!.rows[0]!.envelope);
    assert.deepEqual([envelope.to, envelope.local], ['?Review', false]);
    for (const to of ['?', '?a b', '?review@here'])
      assert.equal((await refusalOf(() => send(to))).reason, 'INVALID_ADDRESS');
  });

  it('gives local mail straight to the recipient and tells the sender without a hub', async () => {
    const bob = await addAgent(test.engine, 'bob');
    const taker = new TestTaker();
    bob.taker = taker;
    const { id } = await send('Bob@here');
    assert.equal(taker.taken.length, 1);
    await test.engine.turns.run(() => test.engine.custody.end(taker.taken, confirmed()));
    const { receipts, final } = test.engine.progress.of(id);
    assert.equal(final, true);
    assert.deepEqual(
      receipts[0]!.hops.map((hop) => hop.stage),
      [Stage.ACCEPTED, Stage.HELD, Stage.CONFIRMED],
    );
    const envelope = Envelope.decode(test.engine.outbox.nextPack()!.rows[0]!.envelope);
    assert.deepEqual([envelope.local, envelope.localAgent], [true, bob.id]);
    assert.equal(receiptsFor(test.engine, NODE).length, 1);
  });

  it('sends mail for the same name on another node away', async () => {
    await addAgent(test.engine, 'bob');
    await send('bob@there');
    assert.equal(test.engine.custody.depth, 0);
    assert.equal(test.engine.outbox.depth, 1);
  });

  it('goes on with local mail when too many copies wait for history', async () => {
    await addAgent(test.engine, 'bob');
    for (let i = 0; i < 20; i++) await send('bob');
    assert.equal(test.engine.custody.depth, 20);
    assert.equal(test.engine.outbox.depth, 3);
    await send('far');
  });

  it('makes packs within both bounds, the same again until it is settled', async () => {
    const body = new Uint8Array(100 * 1024);
    for (let i = 0; i < 5; i++) await send('far', { body });
    const pack = test.engine.outbox.nextPack()!;
    assert.equal(pack.rows.length, 2);
    assert.equal(test.engine.outbox.nextPack()!.id, pack.id);
    test.engine.outbox.settle(pack);
    assert.notEqual(test.engine.outbox.nextPack()!.id, pack.id);
  });
});
