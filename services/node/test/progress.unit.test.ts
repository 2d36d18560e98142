/**
 * Goal: the first end of a message holds unless proof comes later; what is kept is bounded; waiting ends in time.
 * Method: receipts by hand, as objects and as encoded batches.
 */

import assert from 'node:assert/strict';
import { type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { Progress } from '../src/mail/progress.ts';

function receipt(messageId: string, stage: Stage, final = true, recipient = 'bob'): Receipt {
  const texts = {
    to: 'bob',
    fromAgent: 'a_alice',
    correlationId: '',
    reason: '',
    detail: '',
    traceparent: '',
  };
  return { messageId, recipient, recipientName: recipient, stage, final, hops: [], fanOut: 0, ...texts };
}
const make = (messages = 100) => new Progress('self', { messages, waits: 2 }, () => 1);
const never = new AbortController().signal;

describe('progress', () => {
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
    const waits = [progress.wait('m', 60_000, never), progress.wait('n', 1, never)];
    assert.equal(progress.wait('o', 60_000, never), undefined);
    progress.absorb([receipt('m', Stage.CONFIRMED)]);
    for (const wait of waits) await wait;
    assert.equal(heard.length, 1);
    stop();
    progress.absorb([receipt('p', Stage.CONFIRMED)]);
    assert.equal(heard.length, 1);
    assert.ok(progress.wait('q', 1, never));
  });
});
