/**
 * Goal: mail for a busy recipient is kept on the disk, ends in time with a receipt, and goes once its recipient permits;
 * who may ask for which priority. Method: a real database file, a clock that the test turns, frames as they are heard.
 */

import assert from 'node:assert/strict';
import { type Envelope, Priority, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { checkOutgoing, checkPriority } from '../src/domain/checks.ts';
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
import { busy, ready } from './frames.ts';

describe('mail for a busy recipient', () => {
  let test: TestEngine;
  beforeEach(async () => {
    test = await testEngine({ outbox_messages: 10, outbox_recipient_messages: 3 });
    await addAgent(test.engine, 'alice');
    test.engine.sifting.current = (publisher, receipts) => (publisher === 'n_forger' ? [] : receipts);
  });
  afterEach(() => test.close());

  const send = (to: string, more = {}) =>
    sendOnce(test.engine, test.engine.book.named('alice'), outgoing(to, 'hello', more));
  /** Publishes what may go. */
  const publish = async (): Promise<string[]> => {
    const pack = test.engine.outbox.nextPack();
    if (pack === undefined) return [];
    const runs = test.engine.outbox.settle(pack);
    await test.engine.turns.run(() => test.engine.tables.outbox.delete(runs));
    return pack.rows.map((row) => row.id);
  };
  const hear = (...signals: ReturnType<typeof busy>[]) => {
    for (const signal of signals) test.engine.backpressure.hear(signal);
  };
  const expire = () => test.engine.turns.run(() => test.engine.backpressure.expire());

  it('waits, in whichever form its address is written, while the rest goes', async () => {
    hear(busy('bob'));
    const first = await send('bob');
    const waits = [await send('Bob@far'), await send('project:bob')];
    const passes = [await send('dan'), await send('bob@near'), await send('?bob'), await send('#bob')];
    assert.deepEqual((await publish()).sort(), [first, ...passes].map(({ id }) => id).sort());
    assert.deepEqual(await publish(), []);
    assert.equal(test.engine.backpressure.heldBack()[0]!.waiting, 2);
    hear(ready('bob', 1));
    assert.deepEqual(await publish(), [waits[0]!.id]);
  });

  it('is still there after a crash, and goes then, for nobody is known to be busy', async () => {
    hear(busy('bob'));
    const ids = [await send('bob'), await send('dan'), await send('bob')].map(({ id }) => id);
    assert.deepEqual(await publish(), [ids[0], ids[1]]);
    test = await test.crash();
    assert.deepEqual(await publish(), [ids[2]]);
    test = await test.crash();
    assert.equal(test.engine.outbox.depth, 0);
  });

  it('goes on by a receipt, of another node or of this one', async () => {
    hear(busy('bob'));
    const [first, second, third] = [await send('bob'), await send('bob'), await send('bob')];
    assert.deepEqual(await publish(), [first.id]);
    test.engine.backpressure.receipts('n_b', new Uint8Array([1, 2, 3]));
    const receipts = [{ messageId: first.id, final: true }];
    test.engine.backpressure.receipts(
      'n_b',
      ReceiptBatch.encode(ReceiptBatch.fromPartial({ receipts })).finish(),
    );
    assert.deepEqual(await publish(), [second.id]);
    // It has moved to this node meanwhile, which ends it.
    const bob = await addAgent(test.engine, 'bob');
    const taker = new TestTaker();
    bob.taker = taker;
    const envelope = {
      id: second.id,
      fromNode: NODE,
      fromAgent: test.engine.book.named('alice').id,
    } as Envelope;
    const times = { ingressAtUs: 1, routedAtUs: 1, router: 'r', deadlineUs: Number.MAX_SAFE_INTEGER };
    await test.engine.turns.run(() => {
      const empty = {
        body: new Uint8Array(),
        to: 'bob',
        correlationId: '',
        acceptedAtUs: 1,
        attempt: 0,
        cancels: '',
      };
      const arrival = { ...times, history: true };
      test.engine.custody.hold(bob, { ...envelope, ...empty } as Envelope, new Uint8Array(9), arrival);
    });
    await test.engine.turns.run(() => test.engine.custody.end(taker.taken, confirmed()));
    assert.deepEqual(await publish(), [third.id]);
  });

  it('ends in time with a receipt that says why; what waits for the hub does not', async () => {
    hear(busy('Bob'));
    const ids = [];
    for (const to of ['bob', 'bob', 'dan']) ids.push((await send(to, { ttlMs: 10_000 })).id);
    test.clock.ahead = 9_000_000;
    await expire();
    assert.equal(test.engine.outbox.depth, 3);
    test.clock.ahead = 11_000_000;
    await expire();
    assert.equal(test.engine.outbox.depth, 1);
    const receipts = receiptsFor(test.engine, NODE);
    assert.deepEqual(
      receipts.map(({ messageId }) => messageId),
      ids.slice(0, 2),
    );
    const { stage, final, reason, recipient, recipientName, to, hops } = receipts[0]!;
    assert.deepEqual([stage, final, reason], [Stage.EXPIRED, true, 'TTL_EXPIRED']);
    assert.deepEqual([recipient, recipientName, to], ['a_bob', 'Bob', 'bob']);
    assert.deepEqual(
      hops.map((hop) => hop.stage),
      [Stage.ACCEPTED, Stage.EXPIRED],
    );
    assert.equal(test.engine.progress.of(ids[0]!).final, true);
    test = await test.crash();
    assert.deepEqual(await publish(), [ids[2]]);
  });

  it('is refused beyond its part of the share', async () => {
    hear(busy('bob'));
    for (let i = 0; i < 3; i++) await send('bob');
    const error = await refusalOf(() => send('bob'));
    assert.deepEqual([error.reason, error.details['waiting']], ['RECIPIENT_BUSY', '3']);
    assert.ok(error.retryAfterMs! > 500);
    await send('dan');
  });
});

describe('priority', () => {
  it('of the fabric’s own is for those who run the node', () => {
    for (const priority of [Priority.UNSPECIFIED, Priority.LOW, Priority.NORMAL, Priority.HIGH])
      checkPriority({ priority }, false);
    checkPriority({ priority: Priority.SYSTEM }, true);
    const reason = () => checkPriority({ priority: Priority.SYSTEM }, false);
    assert.throws(reason, { kind: 'permission_denied', reason: 'PRIORITY_NOT_ALLOWED' });
  });

  it('is one of those that are known', () => {
    for (const priority of [0, 1, 2, 3, 4])
      checkOutgoing(outgoing('bob', 'x', { priority: priority as Priority }));
    for (const priority of [5, -1, 1.5, Number.NaN, 2 ** 31])
      assert.throws(() => checkOutgoing(outgoing('bob', 'x', { priority: priority as Priority })), {
        reason: 'INVALID_MESSAGE',
        details: { field: 'priority' },
      });
  });
});
