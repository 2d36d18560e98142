/**
 * Goal: what the policies deny is refused at acceptance and told to the hub, bounded; senders keep to their rate, and nothing
 * but what is accepted counts. Method: an engine over a real database file with policies of the test, a clock of the test.
 */

import assert from 'node:assert/strict';
import { newMessageId, TokenBucket } from '@fleetwire/kernel';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Denials } from '../src/domain/denials.ts';
import { SendingLimits, sendingRate } from '../src/domain/sending-limits.ts';
import { sendOnce } from '../src/mail/send-once.ts';
import { addAgent, outgoing, refusalOf, type TestEngine, testEngine } from './engine-fixture.ts';
import { knowing, limited, onlyTo } from './org-knowledge.ts';

describe('what an agent may send', () => {
  let test: TestEngine;
  beforeEach(async () => {
    test = await testEngine({ outbox_messages: 3 });
    for (const name of ['alice', 'bob', 'carol']) await addAgent(test.engine, name);
  });
  afterEach(() => test.close());
  const send = (to: string, more = {}) =>
    sendOnce(test.engine, test.engine.book.named('alice'), outgoing(to, 'hello', more));

  it('is all of it as long as the hub has told of no policies', async () => {
    await send('bob');
    await send('far');
  });

  it('is bounded by the policies, for agents here and elsewhere, in every way to write the name', async () => {
    test.engine.knowledge.current = knowing({ rules: [onlyTo('alice', 'bob', 'near-*')] });
    await send('bob');
    await send('near-by');
    for (const to of ['carol', 'CAROL@here', 'far', 'far@there', 'app:far']) {
      const error = await refusalOf(() => send(to));
      assert.deepEqual([error.kind, error.reason], ['permission_denied', 'MESSAGE_DENIED']);
      assert.match(error.message, /policy "Talk"/);
      assert.deepEqual(error.details, { policy: 'Talk', policy_id: 'pol_1', rule: '1' });
    }
    assert.equal(test.engine.custody.depth, 1);
    assert.equal(test.engine.outbox.depth, 2);
    await sendOnce(test.engine, test.engine.book.named('bob'), outgoing('carol'));
  });

  it('leaves it to the hub whom a capability finds', async () => {
    test.engine.knowledge.current = knowing({ rules: [onlyTo('alice')] });
    await send('?review');
  });

  it('keeps to a rate, which only what is accepted counts for, with the time to wait', async () => {
    test.engine.knowledge.current = knowing({ rules: [limited('alice', 12), onlyTo('alice', 'bob', 'far')] });
    const id = newMessageId();
    await send('bob', { id });
    for (let i = 0; i < 5; i++) {
      await send('bob', { id });
      await refusalOf(() => send('carol'));
      await refusalOf(() => send('no such thing'));
    }
    await send('bob');
    const error = await refusalOf(() => send('bob'));
    assert.deepEqual([error.kind, error.reason], ['resource_exhausted', 'RATE_LIMITED']);
    assert.deepEqual(error.details, { limit: '12', policy: 'Talk', policy_id: 'pol_1' });
    assert.ok(error.retryAfterMs! > 0 && error.retryAfterMs! <= 5000);
    assert.deepEqual((await send('bob', { id })).id, id);
    await sendOnce(test.engine, test.engine.book.named('bob'), outgoing('carol'));
  });

  it('does not count what the outbox refuses', async () => {
    test.engine.knowledge.current = knowing({ rules: [limited('alice', 24)] });
    for (let i = 0; i < 3; i++) await send('far');
    for (let i = 0; i < 5; i++) assert.equal((await refusalOf(() => send('far'))).reason, 'OUTBOX_FULL');
    await send('bob');
    assert.equal((await refusalOf(() => send('bob'))).reason, 'RATE_LIMITED');
  });
});

describe('the rate of a sender', () => {
  const agent = { name: 'alice' };

  it('never lets more through than a minute’s worth a minute and a sixth at once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 300 }),
        (value, waits) => {
          const limits = new SendingLimits();
          let nowMs = 0;
          let sent = 0;
          for (const wait of waits) {
            nowMs += wait;
            if (limits.take(agent, value, nowMs).ok) sent++;
          }
          assert.ok(sent <= sendingRate(value).burst + (nowMs * value) / 60_000);
        },
      ),
    );
  });

  it('lets at least one through at once, and again after the time that it tells', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (value) => {
        const limits = new SendingLimits();
        for (let i = 0; i < sendingRate(value).burst && i < 50; i++)
          assert.equal(limits.take(agent, value, 0).ok, true);
        if (sendingRate(value).burst > 50) return;
        const refused = limits.take(agent, value, 0);
        assert.ok(!refused.ok);
        assert.equal(limits.take(agent, value, refused.retryAfterMs).ok, true);
      }),
    );
  });

  it('follows the policy that changes, and ends with it', () => {
    const limits = new SendingLimits();
    const taken = [6, 6, undefined, 6, 1].map((perMinute, i) => limits.take(agent, perMinute, i).ok);
    assert.deepEqual(taken, [true, false, true, true, false]);
    assert.equal(new TokenBucket(sendingRate(1), 0).rate.burst, 1);
  });
});

describe('denials', () => {
  const denied = (target: string) => ({
    actor: 'a_1',
    actorName: 'alice',
    targetName: target,
    reason: 'MESSAGE_DENIED',
    policy: 'pol_1',
    explanation: '',
  });

  it('are told until a heartbeat with them was answered, equal ones as one', () => {
    const denials = new Denials();
    for (const target of ['bob', 'bob', 'carol']) denials.note(denied(target));
    const first = denials.next();
    assert.deepEqual(
      first.map(({ targetName, count }) => [targetName, count]),
      [
        ['bob', 2],
        ['carol', 1],
      ],
    );
    denials.note(denied('bob'));
    assert.deepEqual(denials.next(), first);
    denials.told(first);
    const second = denials.next();
    assert.deepEqual([second.length, second[0]!.count], [1, 1]);
    assert.ok(second[0]!.seq > first[1]!.seq);
    denials.told(first);
    assert.deepEqual(denials.next(), second);
    denials.told(second);
    assert.deepEqual(denials.next(), []);
  });

  it('are bounded', () => {
    const denials = new Denials();
    for (let i = 0; i < 1000; i++) denials.note(denied(`agent-${i}`));
    assert.equal(denials.next().length, 20);
  });
});
