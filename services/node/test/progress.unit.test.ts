/**
 * Goal: the first end of a message holds unless proof comes later; what is kept is bounded; waiting ends in time.
 * Method: receipts by hand, as objects and as encoded batches.
 */

import assert from 'node:assert/strict';
import { type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { Progress } from '../src/mail/progress.ts';

function receipt(
  messageId: string,
  stage: Stage,
  final = true,
  recipient = 'bob',
  to = 'bob',
  fanOut = 0,
): Receipt {
  const texts = {
    to,
    fromAgent: 'a_alice',
    correlationId: '',
    reason: '',
    detail: '',
    traceparent: '',
    attempt: 0,
  };
  return {
    messageId,
    recipient,
    recipientName: recipient,
    stage,
    final,
    hops: [],
    fanOut,
    proof: undefined,
    ...texts,
  };
}
const make = (messages = 100) =>
  new Progress(
    'self',
    { messages, waits: 2 },
    () => 1,
    (_, receipts) => receipts,
  );
const never = new AbortController().signal;

describe('progress', () => {
  it('a later attempt counts for more than the end of an earlier one, and never the other way round', () => {
    const progress = make();
    progress.absorb([receipt('m', Stage.DEAD)]);
    assert.equal(progress.of('m').final, true);
    progress.absorb([{ ...receipt('m', Stage.HELD, false), attempt: 1 }]);
    progress.absorb([receipt('m', Stage.DEAD)]);
    assert.deepEqual([progress.of('m').final, progress.of('m').receipts[0]?.stage], [false, Stage.HELD]);
    progress.absorb([{ ...receipt('m', Stage.CONFIRMED), attempt: 1 }]);
    assert.deepEqual([progress.of('m').final, progress.of('m').receipts[0]?.stage], [true, Stage.CONFIRMED]);
  });

  it('passes over what cannot be read, also while somebody listens, and goes on', () => {
    const garbage = Uint8Array.of(0x0a, 0x7f, 0x01);
    const progress = make();
    progress.hear('other', garbage);
    progress.hear('other', ReceiptBatch.encode({ receipts: [receipt('m', Stage.CONFIRMED)] }).finish());
    progress.served('many', 1, true);
    assert.equal(progress.of('m').final, true);
    const heard: string[] = [];
    progress.listen(1, (receipts) => heard.push(...receipts.map(({ messageId }) => messageId)));
    progress.hear('other', garbage);
    progress.hear('other', ReceiptBatch.encode({ receipts: [receipt('n', Stage.CONFIRMED)] }).finish());
    assert.deepEqual(heard, ['n']);
  });

  it('keeps the first end, and takes proof that comes later', () => {
    const progress = make();
    progress.absorb([receipt('m', Stage.HELD, false)]);
    assert.equal(progress.of('m').final, false);
    progress.hear('other', ReceiptBatch.encode({ receipts: [receipt('m', Stage.UNCONFIRMED)] }).finish());
    progress.absorb([receipt('m', Stage.EXPIRED), receipt('m', Stage.HELD, false)]);
    assert.equal(progress.of('m').receipts[0]!.stage, Stage.UNCONFIRMED);
    progress.absorb([receipt('m', Stage.CONFIRMED)]);
    assert.equal(progress.of('m').receipts[0]!.stage, Stage.CONFIRMED);
  });

  it('is final once each known recipient is', () => {
    const progress = make();
    progress.absorb([receipt('m', Stage.CONFIRMED, true, 'a'), receipt('m', Stage.HELD, false, 'b')]);
    assert.equal(progress.of('m').final, false);
    progress.absorb([receipt('m', Stage.EXPIRED, true, 'b')]);
    assert.deepEqual([progress.of('m').final, progress.of('m').receipts.length], [true, 2]);
  });

  describe('of a message to many', () => {
    const end = (recipient: string) => receipt('m', Stage.CONFIRMED, true, recipient, '#ops');
    const found = (count: number) => receipt('m', Stage.ROUTED, false, '', '#ops', count);

    it('is final once as many have ended as a router has found, whatever is heard of first', () => {
      for (const order of [
        [found(2), end('a'), end('b')],
        [end('a'), end('b'), found(2)],
        [end('a'), found(2), end('b')],
      ]) {
        const progress = make();
        const finals = order.map((each) => {
          progress.absorb([each]);
          return progress.of('m').final;
        });
        assert.deepEqual(finals, [false, false, true]);
      }
    });

    it('counts those whom this node has served besides', () => {
      const progress = make();
      progress.served('m', 1, false);
      progress.absorb([end('local'), found(1)]);
      assert.equal(progress.of('m').final, false);
      progress.absorb([end('a')]);
      assert.equal(progress.of('m').final, true);
    });

    it('needs no router where this node has served all of them, or only what it says where it refuses', () => {
      const alone = make();
      alone.served('m', 2, true);
      alone.absorb([end('a')]);
      assert.equal(alone.of('m').final, false);
      alone.absorb([end('b')]);
      assert.equal(alone.of('m').final, true);
      const refused = make();
      refused.absorb([receipt('m', Stage.DEAD, true, '', '#ops')]);
      assert.equal(refused.of('m').final, true);
    });

    it('is final at once where a router finds nobody but whom this node has served', async () => {
      const progress = make();
      const waiting = progress.wait('m', Stage.UNSPECIFIED, 60_000, never);
      progress.served('m', 1, false);
      progress.absorb([found(0), end('local')]);
      await waiting;
      assert.equal(progress.of('m').final, true);
    });

    it('takes the place of several messages where it has many receipts', () => {
      const progress = make(10);
      progress.absorb([receipt('old', Stage.CONFIRMED)]);
      progress.absorb(Array.from({ length: 50 }, (_, i) => end(`a${i}`)));
      assert.equal(progress.of('old').receipts.length, 0);
      assert.equal(progress.of('m').receipts.length, 50);
    });
  });

  it('forgets the oldest messages', () => {
    const progress = make(10);
    for (let i = 0; i < 100; i++) progress.absorb([receipt(`m${i}`, Stage.CONFIRMED)]);
    assert.equal(progress.of('m0').receipts.length, 0);
    assert.equal(progress.of('m99').receipts.length, 1);
  });

  it('wakes who waits, tells who listens, and bounds those who wait', async () => {
    const progress = make();
    const heard: Receipt[] = [];
    const stop = progress.listen(1, (receipts) => heard.push(...receipts));
    const waits = [
      progress.wait('m', Stage.UNSPECIFIED, 60_000, never),
      progress.wait('n', Stage.UNSPECIFIED, 1, never),
    ];
    assert.equal(progress.wait('o', Stage.UNSPECIFIED, 60_000, never), undefined);
    progress.absorb([receipt('m', Stage.CONFIRMED)]);
    for (const wait of waits) await wait;
    assert.equal(heard.length, 1);
    stop();
    progress.absorb([receipt('p', Stage.CONFIRMED)]);
    assert.equal(heard.length, 1);
    assert.ok(progress.wait('q', Stage.UNSPECIFIED, 1, never));
  });
});

describe('progress to a stage', () => {
  const { HELD, DELIVERED, CONFIRMED, UNCONFIRMED, EXPIRED, ROUTED, ACCEPTED } = Stage;
  const way = (of: Receipt, ...stages: Stage[]): Receipt => ({
    ...of,
    hops: stages.map((stage) => ({
      stage,
      service: '',
      instance: '',
      atUs: 1,
      reason: '',
      detail: '',
      attempt: 0,
    })),
  });
  const reached = (progress: Progress) =>
    [ACCEPTED, ROUTED, HELD, DELIVERED, CONFIRMED].filter((stage) => progress.isDone('m', stage)).length;

  it('is reached by what comes behind it too, and by an end that makes it impossible', () => {
    const progress = make();
    assert.equal(reached(progress), 1);
    progress.absorb([way(receipt('m', HELD, false), ACCEPTED, ROUTED, HELD)]);
    assert.equal(reached(progress), 3);
    progress.absorb([way(receipt('m', DELIVERED, false), ACCEPTED, ROUTED, HELD, DELIVERED)]);
    assert.equal(reached(progress), 4);
    progress.absorb([receipt('m', EXPIRED)]);
    assert.equal(reached(progress), 5);
  });

  it('confirmed is still waited for after unconfirmed, and wakes who waits', async () => {
    const progress = make();
    const waiting = progress.wait('m', CONFIRMED, 60_000, never)!;
    progress.absorb([receipt('m', UNCONFIRMED)]);
    assert.equal(progress.isDone('m', CONFIRMED), false);
    assert.equal(progress.isDone('m', Stage.UNSPECIFIED), true);
    progress.absorb([receipt('m', CONFIRMED)]);
    await waiting;
    assert.equal(progress.isDone('m', CONFIRMED), true);
  });

  it('is reached by a message to many once it is for each of them', () => {
    const progress = make();
    const to = (recipient: string, stage: Stage, final: boolean) =>
      receipt('m', stage, final, recipient, '#ops');
    progress.absorb([to('bob', HELD, false)]);
    assert.equal(progress.isDone('m', HELD), false);
    progress.absorb([receipt('m', ROUTED, false, '', '#ops', 2)]);
    assert.equal(progress.isDone('m', HELD), false);
    progress.absorb([to('carol', EXPIRED, true)]);
    assert.equal(progress.isDone('m', HELD), true);
    assert.equal(progress.isDone('m', Stage.UNSPECIFIED), false);
  });

  it('takes what was found to be true later, and nothing that was not', () => {
    const later: (() => void)[] = [];
    const progress = new Progress(
      'self',
      { messages: 9, waits: 2 },
      () => 1,
      (publisher, receipts, late) => {
        if (publisher === 'n_late') later.push(() => late(receipts));
        return [];
      },
    );
    const said = ReceiptBatch.encode({ receipts: [receipt('m', CONFIRMED)] }).finish();
    progress.hear('n_forger', said);
    progress.hear('n_late', said);
    assert.equal(progress.isDone('m', CONFIRMED), false);
    for (const tell of later) tell();
    assert.equal(progress.isDone('m', CONFIRMED), true);
  });
});
