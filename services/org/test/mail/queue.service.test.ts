// Goal: each letter that waits is sent once, or visibly failed, whatever the mail server does; its secret text is gone then.
// Method: real PostgreSQL and a real SMTP server; two queues on one table; a clock that tests move.

import { strict as assert } from 'node:assert';
import { FleetwireError, nowMs, systemClock } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { bySmtp, HOUR, noting, world } from './queue-world.ts';
import { refusal, startSmtp } from './smtp-world.ts';

describe('letters that wait', () => {
  it('are sent, emptied and told of', async () => {
    await using it = await world();
    await using smtp = await startSmtp();
    await it.put('i_1');
    await it.put('i_later', { nextAtMs: nowMs(systemClock) + HOUR });
    await it.put('i_failed', { state: 'failed' });
    it.queue({ mailer: bySmtp(smtp.url) });
    await eventually(() => it.ends.length === 1);
    const { atMs, ...end } = it.ends[0]!;
    const recipient = 'i_1@acme.test';
    assert.deepEqual(end, { id: 'i_1', org: 'o_1', recipient, state: 'sent', attempts: 1, error: '' });
    assert.ok(atMs > 0);
    assert.equal(smtp.taken.length, 1);
    assert.equal(smtp.taken[0]!.field('message-id'), '<i_1@hub.test>');
    assert.match(smtp.taken[0]!.raw, /text of i_1/);
    await eventually(async () => (await it.row('i_1')).state === 'sent');
    assert.equal((await it.row('i_1')).body, '');
    assert.equal((await it.row('i_later')).attempts, 0);
  });

  it('are looked for at once when somebody kicks', async () => {
    await using it = await world();
    const { mailer, sent } = noting();
    const queue = it.queue({ mailer, pollMs: 10 * HOUR });
    for (const id of ['i_1', 'i_2']) {
      await it.put(id);
      queue.kick();
      await eventually(() => sent.includes(id));
    }
  });

  it('are sent a few at a time, all of them', async () => {
    await using it = await world();
    let [now, most] = [0, 0];
    const release = Promise.withResolvers<void>();
    const { mailer, sent } = noting(async () => {
      most = Math.max(most, ++now);
      await release.promise;
      now--;
    });
    for (let n = 0; n < 20; n++) await it.put(`i_${n}`);
    it.queue({ mailer, pollMs: 10 * HOUR });
    await eventually(() => sent.length === 3);
    release.resolve();
    await eventually(() => it.ends.length === 20);
    assert.equal(most, 3);
    assert.equal(new Set(sent).size, 20);
  });

  it('are sent once by two replicas', async () => {
    await using it = await world();
    await using smtp = await startSmtp();
    const ids = Array.from({ length: 60 }, (_, n) => `i_${n}`);
    await Promise.all(ids.map((id) => it.put(id)));
    for (let replica = 0; replica < 2; replica++) it.queue({ mailer: bySmtp(smtp.url), concurrency: 8 });
    await eventually(() => it.ends.length >= ids.length);
    const sent = smtp.taken.map((letter) => letter.field('message-id')).toSorted();
    assert.deepEqual(sent, ids.map((id) => `<${id}@hub.test>`).toSorted());
    assert.equal(it.ends.length, ids.length);
    const attempts = await it.store.query<{ attempts: number }>('select distinct attempts from mails');
    assert.deepEqual(attempts, [{ attempts: 1 }]);
  });
});

describe('a letter that is not taken', () => {
  it('is tried again after a temporary refusal', async () => {
    await using it = await world();
    let refusals = 2;
    await using smtp = await startSmtp({
      onRecipient: () =>
        refusals-- > 0 ? refusal(451, 'greylisted, see https://hub.test/invite/fwi_x') : undefined,
    });
    await it.put('i_1');
    it.queue({ mailer: bySmtp(smtp.url) });
    await eventually(() => it.ends.length === 1);
    assert.equal(it.ends[0]!.state, 'sent');
    assert.equal(it.ends[0]!.attempts, 3);
    assert.equal(smtp.taken.length, 1);
    assert.match(JSON.stringify(it.logged), /greylisted/);
    assert.doesNotMatch(JSON.stringify(it.logged), /fwi_/, 'a server may repeat the link; the log does not');
  });

  it('fails at once when it is refused for good, and its text is emptied', async () => {
    await using it = await world();
    await using smtp = await startSmtp({
      onRecipient: () => refusal(550, 'nobody here, https://hub.test/x'),
    });
    await it.put('i_1');
    it.queue({ mailer: bySmtp(smtp.url) });
    await eventually(() => it.ends.length === 1);
    assert.equal(it.ends[0]!.state, 'failed');
    assert.equal(it.ends[0]!.attempts, 1);
    assert.match(it.ends[0]!.error, /550 nobody here, \[link\]/);
    const { state, body, error } = await it.row('i_1');
    assert.deepEqual({ state, body, error }, { state: 'failed', body: '', error: it.ends[0]!.error });
  });

  it('waits for a server that is away, and goes when it is back', async () => {
    await using it = await world();
    const first = await startSmtp();
    await first[Symbol.asyncDispose]();
    await it.put('i_1');
    it.queue({ mailer: bySmtp(first.url) });
    await eventually(async () => (await it.row('i_1')).attempts >= 3);
    assert.match((await it.row('i_1')).error, /ECONNREFUSED/);
    await using back = await startSmtp({}, { port: first.port });
    await eventually(() => it.ends.length === 1);
    assert.equal(it.ends[0]!.state, 'sent');
    assert.equal(back.taken.length, 1);
  });

  it('is tried again when the server hangs', async () => {
    await using it = await world();
    let hanging = true;
    await using smtp = await startSmtp({}, { onConnect: (_session, done) => (hanging ? undefined : done()) });
    await it.put('i_1');
    // The server takes 100 ms to greet.
    it.queue({ mailer: bySmtp(smtp.url, 500) });
    await eventually(async () => (await it.row('i_1')).attempts >= 2);
    hanging = false;
    await eventually(() => it.ends.length === 1);
    assert.equal(it.ends[0]!.state, 'sent');
  });

  it('fails when its time is up, tried or not', async () => {
    await using it = await world();
    const down = () => Promise.reject(new FleetwireError('unavailable', 'MAIL_NOT_SENT', 'down'));
    const { mailer, sent } = noting(down);
    await it.put('i_1', { untilMs: nowMs(it.clock) + 10_000 });
    await it.put('i_2', { untilMs: 1 });
    it.queue({ mailer, retry: { initialMs: 60_000, maxMs: 60_000 } });
    await eventually(() => it.ends.length === 2);
    const ends = Object.fromEntries(it.ends.map(({ id, state, error }) => [id, [state, error]]));
    assert.deepEqual(ends, { i_1: ['failed', 'down'], i_2: ['failed', 'its time was up'] });
    assert.deepEqual(sent, ['i_1']);
    assert.equal((await it.row('i_1')).body, '');
  });

  it('waits longer from try to try', async () => {
    await using it = await world();
    const down = () => Promise.reject(new FleetwireError('unavailable', 'MAIL_NOT_SENT', 'down'));
    const { mailer, sent } = noting(down);
    await it.put('i_1');
    // Longer than the lease of a claim, so that one is not taken for the other.
    it.queue({ mailer, retry: { initialMs: 100_000, maxMs: 300_000 } });
    for (const [n, full] of [100_000, 200_000, 300_000, 300_000].entries()) {
      const due = await eventually(async () => {
        const { attempts, nextAtMs } = await it.row('i_1');
        const ms = nextAtMs - it.clock.nowUs() / 1000;
        return attempts === n + 1 && ms > 45_000 && ms;
      });
      assert.ok(due <= full && due > full / 2 - 10_000, `${due} of ${full}`);
      it.pass(full);
    }
    assert.ok(sent.length >= 4);
  });

  it('fails when it cannot be read', async () => {
    await using it = await world();
    const { mailer, sent } = noting();
    await it.put('i_1', { body: 'nonsense' });
    it.queue({ mailer });
    await eventually(() => it.ends.length === 1);
    assert.equal(it.ends[0]!.state, 'failed');
    assert.deepEqual(sent, []);
  });
});
