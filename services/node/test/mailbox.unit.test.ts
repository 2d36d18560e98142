/**
 * Goal: a reader of a mailbox that waits while a session takes the mail over is refused, and nothing else is.
 * Method: an engine over a real database file; the taker comes while the reader waits.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { addAgent, entryFor, hold, refusalOf, TestTaker, testEngine } from './engine-fixture.ts';

const never = new AbortController().signal;
const options = { limit: 10, waitMs: 60_000, peek: false };

describe('a mailbox', () => {
  it('refuses a reader whose mail goes to a session by now; the node and other work of the turn go on', async () => {
    const test = await testEngine();
    const { engine } = test;
    const bob = await addAgent(engine, 'bob', 'mailbox');
    const ending = new AbortController();
    const reading = refusalOf(() => engine.mailbox.read(bob, options, ending.signal));
    bob.taker = new TestTaker(0);
    const held = hold(test, bob, entryFor(bob.id, test.clock));
    ending.abort();
    const [refusal, what] = await Promise.all([reading, held]);
    assert.equal(refusal.reason, 'MAIL_GOES_ELSEWHERE');
    assert.equal(what, 'held');
    assert.deepEqual(test.broken, []);
    bob.taker = undefined;
    assert.equal((await engine.mailbox.read(bob, options, never)).deliveries.length, 1);
    await test.close();
  });
});
