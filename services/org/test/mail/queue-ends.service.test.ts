// Goal: a replica that dies, is late or ends loses no letter and takes none away; what became of a letter is told once.
// Method: claims that nothing follows, mailers that wait to be released, a database that is away.

import { strict as assert } from 'node:assert';
import { FleetwireError, nowMs } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { claimDue } from '../../src/mail/mail-rows.ts';
import { HOUR, noting, world } from './queue-world.ts';

describe('a replica', () => {
  it('passes over what another is claiming', async () => {
    await using it = await world();
    for (const id of ['i_1', 'i_2']) await it.put(id);
    const claimed = await it.store.transaction(async ({ query }) => {
      await query("select id from mails where id = 'i_1' for update");
      return claimDue(it.store, 5, nowMs(it.clock), 60_000);
    });
    assert.deepEqual(
      claimed.map(({ id }) => id),
      ['i_2'],
    );
  });

  it('that dies leaves its letters to another, after their lease', async () => {
    await using it = await world();
    await it.put('i_1');
    // What a claim leaves behind when nothing follows it.
    assert.equal((await claimDue(it.store, 5, nowMs(it.clock), 60_000)).length, 1);
    const { mailer, sent } = noting();
    const queue = it.queue({ mailer });
    await it.put('i_2');
    queue.kick();
    await eventually(() => it.ends.length === 1);
    assert.deepEqual(sent, ['i_2'], 'the lease holds');
    it.pass(60_000);
    await eventually(() => it.ends.length === 2);
    assert.deepEqual(sent, ['i_2', 'i_1']);
    assert.equal(it.ends[1]!.attempts, 2);
  });

  it('that is late does not take a letter away from the one that holds it now', async () => {
    await using it = await world();
    const { promise: failing, reject } = Promise.withResolvers<void>();
    const slow = noting(() => failing);
    await it.put('i_1');
    const queue = it.queue({ mailer: slow.mailer, pollMs: 10 * HOUR });
    await eventually(() => slow.sent.length === 1);
    it.pass(60_000);
    const second = await claimDue(it.store, 5, nowMs(it.clock), 60_000);
    assert.equal(second.length, 1);
    reject(new FleetwireError('failed_precondition', 'MAIL_REFUSED', 'no'));
    await eventually(() => it.logged.some((fields) => fields['mail'] === 'i_1'));
    await it.put('i_2', { untilMs: 1 });
    queue.kick();
    await eventually(() => it.ends.some((end) => end.id === 'i_2'));
    assert.equal((await it.row('i_1')).state, 'waiting');
    assert.deepEqual(
      it.ends.map((end) => end.id),
      ['i_2'],
    );
  });

  it('that ends waits for a letter under way, and cuts off one that hangs', async () => {
    await using it = await world();
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const { mailer } = noting(() => {
      entered.resolve();
      return release.promise;
    });
    await it.put('i_1');
    const queue = it.queue({ mailer, stopMs: 60_000 });
    await entered.promise;
    const stopped = queue.stop();
    release.resolve();
    await stopped;
    assert.equal((await it.row('i_1')).state, 'sent');

    await it.put('i_2');
    const begun = Promise.withResolvers<void>();
    const hanging = noting((_id, signal) => {
      begun.resolve();
      return new Promise((_resolve, reject) => {
        const cut = () => reject(new FleetwireError('unavailable', 'MAIL_NOT_SENT', 'cut off'));
        signal.addEventListener('abort', cut);
      });
    });
    const second = it.queue({ mailer: hanging.mailer, stopMs: 1000 });
    await begun.promise;
    await second.stop();
    const { state, error } = await it.row('i_2');
    assert.deepEqual({ state, error }, { state: 'waiting', error: 'cut off' });
  });
});

describe('the end of a letter', () => {
  it('is one transaction with what is written about it', async () => {
    await using it = await world();
    const { mailer } = noting();
    const seen: string[] = [];
    it.queue({
      mailer,
      onLetter: async ({ id }, { query }) => {
        const rows = await query<{ state: string }>('select state from mails where id = $1', [id]);
        seen.push(rows[0]!.state, (await it.row(id)).state);
      },
    });
    await it.put('i_1');
    await eventually(async () => (await it.row('i_1')).state === 'sent');
    assert.deepEqual(seen, ['sent', 'waiting'], 'within and outside');
  });

  it('is written although the database was away, and the letter is sent once', async () => {
    await using it = await world();
    let away = 3;
    const store: Store = {
      ...it.store,
      transaction: (work) =>
        away-- > 0
          ? Promise.reject(new FleetwireError('unavailable', 'DATABASE_AWAY', 'away'))
          : it.store.transaction(work),
    };
    const { mailer, sent } = noting();
    await it.put('i_1');
    it.queue({ mailer, store });
    await eventually(() => it.ends.length === 1);
    assert.deepEqual(sent, ['i_1']);
    assert.equal(it.ends[0]!.state, 'sent');
  });

  it('does not send it again when nobody can be told', async () => {
    await using it = await world();
    const { mailer, sent } = noting();
    await it.put('i_1');
    it.queue({ mailer, onLetter: () => Promise.reject(new Error('a fault of ours')) });
    await eventually(async () => (await it.row('i_1')).state === 'sent');
    assert.deepEqual(sent, ['i_1']);
    assert.match(JSON.stringify(it.logged), /a fault of ours/);
  });

  it('is not told of a letter that was taken back in the meantime', async () => {
    await using it = await world();
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const { mailer } = noting(async (id) => {
      if (id !== 'i_1') return;
      entered.resolve();
      await release.promise;
    });
    await it.put('i_1');
    it.queue({ mailer });
    await entered.promise;
    await it.store.query(`update mails set state = 'failed', body = '' where id = 'i_1'`);
    release.resolve();
    await it.put('i_2');
    await eventually(() => it.ends.length === 1);
    assert.equal(it.ends[0]!.id, 'i_2');
    assert.equal((await it.row('i_1')).state, 'failed');
  });
});
