/**
 * Goal: people see their org's dead letters whole, with what became of them; what cannot be sent again is refused by its name.
 * Method: the handlers on a real PostgreSQL, filled through the ingest sources; the broker remembers what it was given, by dedupe
 * id, and fails when told to.
 */

import assert from 'node:assert/strict';
import { LetterFilter, LetterState } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { newId } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { receiptSource } from '../src/handlers/receipts.ts';
import { ADMIN, CAROL, lettersWorld } from './letters-world.ts';
import * as sample from './sample-traffic.ts';

describe('dead letters', function () {
  this.timeout(60_000);
  const w = lettersWorld();

  it('are listed newest first by page, by every filter, and by nobody of another org', async () => {
    const [first, second] = [w.envelope(), w.envelope({ fromAgent: CAROL, fromName: 'carol' })];
    await w.buried(first);
    await w.buried(second);
    await w.overflowed(first, sample.NODE_A);
    const all = await w.list();
    assert.deepEqual(
      all.map((l) => [l.messageId, l.recipient, l.reason, l.state]),
      [
        [first.id, sample.BOB, 'QUEUE_OVERFLOW', LetterState.OPEN],
        [second.id, '', 'UNKNOWN_AGENT', LetterState.OPEN],
        [first.id, '', 'UNKNOWN_AGENT', LetterState.OPEN],
      ],
    );
    const count = async (filter: Partial<LetterFilter>) => (await w.list(filter)).length;
    assert.equal(await count({ reason: 'UNKNOWN_AGENT' }), 2);
    assert.equal(await count({ sender: 'carol' }), 1);
    assert.equal(await count({ sender: sample.ALICE }), 2);
    assert.equal(await count({ recipient: sample.BOB }), 1);
    assert.equal(await count({ recipient: 'bob' }), 3);
    assert.equal(await count({ messageId: first.id }), 2);
    assert.equal(await count({ fromUs: all[1]!.storedAtUs! }), 2);
    assert.equal(await count({ untilUs: all[1]!.storedAtUs! }), 1);
    assert.equal(await count({ state: LetterState.DROPPED }), 0);
    const page = { filter: undefined, pageSize: 2, pageToken: '' };
    const one = await w.letters.listDeadLetters(page, w.as([]));
    const two = await w.letters.listDeadLetters({ ...page, pageToken: one.nextPageToken! }, w.as([]));
    assert.deepEqual([one.letters?.length, two.letters?.length, two.nextPageToken], [2, 1, '']);
    const other = w.as(['admin'], newId('org'));
    assert.deepEqual((await w.letters.listDeadLetters(page, other)).letters, []);
    await assert.rejects(w.letters.getDeadLetter({ id: all[0]!.id! }, other), w.reason('LETTER_UNKNOWN'));
    const foreign = await w.letters.replayDeadLetters(w.request({ ids: [all[0]!.id!] }), other);
    assert.equal(foreign.letters![0]!.reason, 'LETTER_UNKNOWN');
  });

  it('are replayed by admins only', async () => {
    for (const context of [w.as(['read', 'send']), w.as(['admin'], w.org, 'node')]) {
      const filter = LetterFilter.fromPartial({});
      await assert.rejects(
        w.letters.replayDeadLetters(w.request({ filter }), context),
        w.reason('SCOPE_MISSING'),
      );
      await assert.rejects(
        w.letters.dropDeadLetters(w.request({ filter }), context),
        w.reason('SCOPE_MISSING'),
      );
    }
  });

  it('show what became of each replay, and the letter that a replay ended in is replayed as the next attempt', async () => {
    const message = w.envelope();
    await w.buried(message);
    const [first] = await w.list();
    await w.replay({ ids: [first!.id!] });
    for (const { subject, payload } of w.published.values())
      if (subject.startsWith('fw.v1.receipt.'))
        await w.ingest(receiptSource({ store: w.store, homes: sample.ANYBODY }), subject, payload);
    await w.buried({ ...message, attempt: 1 });
    const [second] = await w.list();
    assert.deepEqual([second!.attempt, second!.state], [1, LetterState.OPEN]);
    assert.equal((await w.replay({ ids: [second!.id!] })).letters![0]!.attempt, 2);
    const confirmed = { ...sample.receiptFor({ ...message, attempt: 2 }, Stage.CONFIRMED), attempt: 2 };
    confirmed.hops = confirmed.hops.map((hop) => ({ ...hop, attempt: hop.stage === Stage.ACCEPTED ? 0 : 2 }));
    await w.ingest(
      receiptSource({ store: w.store, homes: sample.ANYBODY }),
      `fw.v1.receipt.${w.org}.${sample.NODE_A}.${sample.NODE_B}`,
      sample.receiptBatch([confirmed]),
    );
    const shown = await w.letters.getDeadLetter({ id: first!.id! }, w.as([]));
    assert.deepEqual(Buffer.from(shown.message!.body!), Buffer.from(message.body));
    assert.equal(shown.hops![0]!.reason, 'UNKNOWN_AGENT');
    assert.deepEqual(
      shown.replays!.map((r) => [
        r.attempt,
        r.replayedBy,
        r.letters,
        r.settlements!.map((s) => [s.recipient, s.stage]),
      ]),
      [
        [1, ADMIN, [second!.id], [['', Stage.DEAD]]],
        [2, ADMIN, [], [[sample.BOB, Stage.CONFIRMED]]],
      ],
    );
    const found = (await w.answers.getMessage({ id: message.id }, w.as([]))).message!;
    assert.deepEqual(
      found.settlements!.map((s) => [s.recipient, s.stage, s.final]),
      [[sample.BOB, Stage.CONFIRMED, true]],
      'that it led to nobody at first is over',
    );
  });

  it('of a removed agent, unreadable or forged ones are refused by name, and the others go on', async () => {
    const good = w.envelope();
    const fromCarol = w.envelope({ fromAgent: CAROL });
    w.agents.delete(CAROL);
    await w.buried(fromCarol);
    await w.buried(w.envelope(), { decoded: false, envelope: Uint8Array.of(1, 2, 3) });
    // Another node of the org says of itself that somebody else has sent it.
    await w.overflowed(w.envelope({ fromNode: sample.NODE_A }));
    await w.buried(w.envelope({ fromNode: sample.NODE_B }), { reason: 'FORGED_SENDER' });
    await w.buried(good);
    const { letters: outcomes } = await w.replay({ filter: LetterFilter.fromPartial({}) });
    assert.deepEqual(
      outcomes!.map((l) => l.reason),
      ['SENDER_REMOVED', 'LETTER_UNREADABLE', 'LETTER_UNTRUSTED', 'LETTER_UNTRUSTED', ''],
    );
    assert.deepEqual(
      w.sentAgain().map((e) => e.id),
      [good.id],
    );
    w.agents.delete(sample.BOB);
    const known = w.envelope();
    await w.remember(known);
    await w.overflowed(known);
    const [letter] = await w.list();
    assert.equal((await w.replay({ ids: [letter!.id!] })).letters![0]!.reason, 'RECIPIENT_REMOVED');
    w.agents.add(sample.BOB);
    assert.equal(
      (await w.replay({ ids: [letter!.id!] })).letters![0]!.reason,
      '',
      'history vouches for the sender',
    );
  });

  it('that are unreadable can be looked at and dropped; what is dropped is not replayed', async () => {
    await w.buried(w.envelope(), { decoded: false, envelope: Uint8Array.of(1, 2, 3) });
    await w.buried(w.envelope());
    const [sound, broken] = await w.list();
    const shown = await w.letters.getDeadLetter({ id: broken!.id! }, w.as([]));
    assert.deepEqual([...shown.undecoded!], [1, 2, 3]);
    assert.equal(shown.message, undefined);
    const ids = [sound!.id!, broken!.id!];
    const once = w.request({ ids });
    for (let i = 0; i < 2; i++)
      assert.deepEqual(
        (await w.letters.dropDeadLetters(once, w.as())).letters!.map((l) => l.reason),
        ['', ''],
      );
    assert.equal((await w.list({ state: LetterState.DROPPED })).length, 2);
    const after = await w.replay({ ids });
    assert.deepEqual(
      after.letters!.map((l) => l.reason),
      ['LETTER_DROPPED', 'LETTER_DROPPED'],
    );
    assert.equal(w.sentAgain().length, 0);
    assert.deepEqual(w.audited(), [[ADMIN, 'dead.drop', '2', `2 ids: ${ids.join(' ')}`]]);
  });

  it('of an org that keeps no bodies have none, and are not replayed', async () => {
    w.mode = 'metadata';
    await w.buried(w.envelope());
    await w.buried(w.envelope(), { decoded: false, envelope: Uint8Array.of(1, 2, 3) });
    w.mode = 'full';
    const [broken, sound] = await w.list();
    for (const { id } of [broken!, sound!]) {
      const shown = await w.letters.getDeadLetter({ id: id! }, w.as([]));
      assert.deepEqual(
        [shown.bodyKept, shown.undecoded?.length, shown.message?.body?.length ?? 0],
        [false, 0, 0],
      );
    }
    const { letters: outcomes } = await w.replay({ ids: [broken!.id!, sound!.id!] });
    assert.deepEqual(
      outcomes!.map((l) => l.reason),
      ['LETTER_WITHOUT_BODY', 'LETTER_UNREADABLE'],
    );
    assert.equal(w.sentAgain().length, 0);
  });

  it('bad requests are refused as what they are', async () => {
    const filter = LetterFilter.fromPartial({});
    await assert.rejects(w.replay({}), w.reason('SELECTION_INVALID'));
    await assert.rejects(w.replay({ ids: ['d1-1'], filter }), w.reason('SELECTION_INVALID'));
    await assert.rejects(
      w.replay({ ids: Array.from({ length: 501 }, (_, i) => `d1-${i}`) }),
      w.reason('SELECTION_INVALID'),
    );
    await assert.rejects(w.replay({ ids: ['nonsense'] }), w.reason('INVALID_ID'));
    await assert.rejects(w.replay({ filter, requestId: 'short' }), w.reason('INVALID_REQUEST_ID'));
    await assert.rejects(w.replay({ filter, continuation: '?' }), w.reason('INVALID_PAGE_TOKEN'));
    await assert.rejects(w.letters.getDeadLetter({ id: 'x' }, w.as()), w.reason('INVALID_ID'));
    const once = w.request({ filter });
    await w.letters.replayDeadLetters(once, w.as());
    await assert.rejects(w.letters.dropDeadLetters(once, w.as()), w.reason('REQUEST_ID_REUSED'));
    await assert.rejects(
      w.letters.replayDeadLetters({ ...once, filter: { ...filter, reason: 'X' } }, w.as()),
      w.reason('REQUEST_ID_REUSED'),
    );
    assert.equal((await w.replay({ ids: ['d1-1'] })).letters![0]!.reason, 'LETTER_UNKNOWN');
  });
});
