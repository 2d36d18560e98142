/**
 * Goal: what people decide about dead letters is done once, whatever fails in the middle, and the audit knows.
 * Method: the handlers on a real PostgreSQL, filled through the ingest sources; the broker remembers what it was given, by dedupe
 * id, and fails when told to.
 */

import assert from 'node:assert/strict';
import { LetterFilter, LetterState } from '@fleetwire/gen/delivery';
import { Envelope, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { receiptSource } from '../src/handlers/receipts.ts';
import { ADMIN, lettersWorld } from './letters-world.ts';
import * as sample from './sample-traffic.ts';

describe('replays of dead letters', function () {
  this.timeout(60_000);
  const w = lettersWorld();

  it('are sent again in the name of their sender, for whom they were, as the next attempt, once for a request', async () => {
    const message = w.envelope({ local: true, localServed: true, to: '#ops', fromNode: sample.NODE_B });
    await w.overflowed(message);
    const [letter] = await w.list();
    const once = w.request({ ids: [letter!.id!] });
    for (let i = 0; i < 3; i++) {
      const { letters: done, continuation } = await w.letters.replayDeadLetters(once, w.as());
      assert.deepEqual(
        done!.map((l) => [l.id, l.messageId, l.attempt, l.reason]),
        [[letter!.id, message.id, 1, '']],
      );
      assert.equal(continuation, '');
    }
    const again = await w.replay({ ids: [letter!.id!] });
    assert.equal(again.letters![0]!.reason, 'LETTER_REPLAYED');
    const expected = { ...message, attempt: 1, local: false, localServed: false, localAgent: sample.BOB };
    assert.deepEqual(w.sentAgain(), [Envelope.decode(Envelope.encode(expected).finish())]);
    assert.deepEqual(w.audited(), [[ADMIN, 'dead.replay', '1', letter!.id]]);
    const [told] = [...w.published.values()].filter(({ subject }) => subject.startsWith('fw.v1.receipt.'));
    assert.equal(told!.subject, `fw.v1.receipt.${w.org}.${sample.NODE_B}.delivery`);
    await w.ingest(receiptSource({ store: w.store, homes: sample.ANYBODY }), told!.subject, told!.payload);
    const [receipt] = ReceiptBatch.decode(told!.payload).receipts;
    assert.deepEqual([receipt?.stage, receipt?.attempt, receipt?.final], [Stage.ACCEPTED, 1, false]);
    const found = (await w.answers.getMessage({ id: message.id }, w.as([]))).message!;
    assert.deepEqual(
      found.settlements!.map((s) => [s.recipient, s.stage, s.final, s.attempt]),
      [[sample.BOB, Stage.ACCEPTED, false, 1]],
    );
  });

  it('by a filter are replayed oldest first, a bounded number in a call, and none that died again meanwhile', async () => {
    const messages = Array.from({ length: 5 }, () => w.envelope());
    for (const message of messages) await w.buried(message);
    const filter = LetterFilter.fromPartial({ reason: 'UNKNOWN_AGENT' });
    assert.equal((await w.replay({ filter, dryRun: true })).matched, 5);
    assert.equal(w.published.size, 0);
    const once = w.request({ filter, limit: 2 });
    w.laterUs = 4_000_000_000_000_000;
    let continuation = '';
    let calls = 0;
    do {
      const answer = await w.letters.replayDeadLetters({ ...once, continuation }, w.as());
      continuation = answer.continuation!;
      calls++;
      if (calls < 4) await w.buried({ ...messages[calls]!, attempt: 1 });
    } while (continuation !== '' && calls < 9);
    assert.deepEqual(
      w.sentAgain().map((e) => e.id),
      messages.map((e) => e.id),
    );
    assert.equal(w.audited().length, 3);
    assert.deepEqual(w.audited()[0], [ADMIN, 'dead.replay', '2', 'reason=UNKNOWN_AGENT']);
  });

  it('interrupted in the middle, are all replayed by the repeated call, and none twice', async () => {
    for (let i = 0; i < 6; i++) await w.buried(w.envelope());
    const once = w.request({ filter: LetterFilter.fromPartial({}), limit: 500 });
    w.failAfter = 5;
    await assert.rejects(w.letters.replayDeadLetters(once, w.as()), w.reason('BROKER_AWAY'));
    assert.ok(w.sentAgain().length < 6);
    w.failAfter = Number.POSITIVE_INFINITY;
    await w.letters.replayDeadLetters(once, w.as());
    assert.equal(w.sentAgain().length, 6);
    assert.equal(new Set(w.sentAgain().map((e) => e.id)).size, 6);
    assert.deepEqual(w.audited(), [[ADMIN, 'dead.replay', '6', 'all']]);
  });

  it('interrupted for good, are replayed and audited by whichever replica lives', async () => {
    for (let i = 0; i < 3; i++) await w.buried(w.envelope());
    w.failAfter = 1;
    await assert.rejects(w.replay({ filter: LetterFilter.fromPartial({}) }), w.reason('BROKER_AWAY'));
    assert.equal(w.sentAgain().length, 0);
    w.failAfter = Number.POSITIVE_INFINITY;
    w.task.start();
    for (let i = 0; i < 500 && w.audited().length === 0; i++)
      await new Promise((done) => setTimeout(done, 20));
    await w.task.stop();
    assert.equal(w.sentAgain().length, 3);
    assert.deepEqual(w.audited(), [[ADMIN, 'dead.replay', '3', 'all']]);
  });

  it('that came back to their senders are replayed again by their ids, once for each request', async () => {
    const message = w.envelope();
    await w.buried(message);
    const [letter] = await w.list();
    const ids = [letter!.id!];
    await w.replay({ ids });
    const returned = (attempt: number) =>
      w.ingest(
        receiptSource({ store: w.store, homes: sample.ANYBODY }),
        `fw.v1.receipt.${w.org}.${sample.NODE_A}.router`,
        sample.receiptBatch([
          sample.receiptFor(message, Stage.RETURNED, {
            recipient: '',
            attempt,
            hops: [sample.hop(Stage.RETURNED, 'router-1', 9, { reason: 'RATE_LIMITED', attempt })],
          }),
        ]),
      );
    assert.equal((await w.replay({ ids })).letters![0]!.reason, 'LETTER_REPLAYED', 'it is under way');
    await returned(1);
    const once = w.request({ ids });
    for (let i = 0; i < 2; i++) {
      const [done] = (await w.letters.replayDeadLetters(once, w.as())).letters!;
      assert.deepEqual([done!.reason, done!.attempt], ['', 2]);
      await returned(2);
    }
    assert.deepEqual(
      w.sentAgain().map(({ attempt }) => attempt),
      [1, 2],
    );
    assert.equal((await w.replay({ filter: LetterFilter.fromPartial({}) })).letters!.length, 0);
    const { replays } = await w.letters.getDeadLetter({ id: ids[0]! }, w.as([]));
    assert.deepEqual(
      replays!.map((r) => [r.attempt, r.settlements!.map((s) => [s.stage, s.reason])]),
      [1, 2].map((attempt) => [attempt, [[Stage.RETURNED, 'RATE_LIMITED']]]),
    );
  });

  it('two calls at once replay each letter once', async () => {
    for (let i = 0; i < 20; i++) await w.buried(w.envelope());
    const filter = LetterFilter.fromPartial({});
    const both = await Promise.all([
      w.replay({ filter }),
      w.replay({ filter }),
      w.letters.dropDeadLetters(w.request({ filter }), w.as()),
    ]);
    const done = both.flatMap((answer) => answer.letters!.filter((l) => l.reason === ''));
    assert.equal(new Set(done.map((l) => l.id)).size, done.length);
    const replayed = (await w.list({ state: LetterState.REPLAYED })).length;
    assert.equal(w.sentAgain().length, replayed);
    assert.equal((await w.list({ state: LetterState.OPEN })).length, 0);
    assert.equal(
      w.audited().reduce((sum, [, , count]) => sum + Number(count), 0),
      20,
    );
  });
});
