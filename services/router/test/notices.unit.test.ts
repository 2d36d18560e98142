/**
 * Goal: nodes are told to hold back no more often than it helps, and only those that take more than their share; every denial is
 * told of once, however many there are; nothing grows without bound.
 * Method: floods by number, and random denials counted up.
 */

import assert from 'node:assert/strict';
import type { Decision } from '@fleetwire/access';
import { ingressSubject } from '@fleetwire/contract';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type Busy, BusyNotices } from '../src/domain/busy-notices.ts';
import { DenialTally, PAIRS_OF_ORG_MAX, ROWS_MAX } from '../src/domain/denial-tally.ts';
import { beyondShare, IngressShare } from '../src/domain/ingress-share.ts';
import { NOW_US, route } from './samples.ts';

const from = (node: string, org = 'o_1') => ingressSubject.build({ partition: 0, org, node });

describe('the fair share of ingress', () => {
  const share = (taken: Record<string, number>) => beyondShare(new Map(Object.entries(taken)));

  it('is an equal part of the org, which is an equal part of all', () => {
    assert.deepEqual(share({ [from('n_1')]: 900, [from('n_2')]: 50, [from('n_3')]: 50 }), [from('n_1')]);
    assert.deepEqual(share({ [from('n_1')]: 110, [from('n_2')]: 90 }), [], 'a second is never even');
    // Nine nodes of a large org take what is due to the only one of the other.
    const large = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [from(`n_${i}`, 'o_large'), 100]));
    assert.deepEqual(share({ ...large, [from('n_x', 'o_small')]: 100 }), Object.keys(large));
    assert.deepEqual(share({ ...large, [from('n_x', 'o_small')]: 900 }), []);
  });

  it('is exceeded by nobody who sends alone', () => {
    assert.deepEqual(share({ [from('n_1')]: 1e9 }), []);
  });

  it('is never exceeded by all, and never by who sends least in the org that sends least', () => {
    const anyone = fc.dictionary(
      fc.tuple(fc.nat(3), fc.nat(5)).map(([org, node]) => from(`n_${node}`, `o_${org}`)),
      fc.integer({ min: 1, max: 1e6 }),
      { minKeys: 1, maxKeys: 24 },
    );
    fc.assert(
      fc.property(anyone, (taken) => {
        const greedy = new Set(share(taken));
        assert.ok(greedy.size < Object.keys(taken).length);
        const sums = new Map<string, number>();
        const org = (subject: string) => ingressSubject.parse(subject)!.org;
        for (const [subject, bytes] of Object.entries(taken))
          sums.set(org(subject), (sums.get(org(subject)) ?? 0) + bytes);
        const poorest = [...sums].sort((a, b) => a[1] - b[1])[0]![0];
        const theirs = Object.entries(taken).filter(([subject]) => org(subject) === poorest);
        const least = theirs.sort((a, b) => a[1] - b[1])[0]![0];
        assert.ok(!greedy.has(least));
      }),
    );
  });

  it('is looked at once a second, and only while the partition is behind', () => {
    const watch = new IngressShare({ lagHighMs: 1000 });
    const take = (node: string, atMs: number, lagMs: number) =>
      watch.took(
        { subject: from(node), bytes: 1000, storedAtUs: NOW_US + (atMs - lagMs) * 1000 },
        NOW_US + atMs * 1000,
      );
    const told: [number, readonly string[]][] = [];
    for (let ms = 0; ms < 3000; ms += 10) {
      const lagMs = ms < 500 ? 900 : 1500;
      const greedy = [...take('n_loud', ms, lagMs), ...(ms % 100 === 0 ? take('n_quiet', ms, lagMs) : [])];
      if (greedy.length > 0) told.push([ms, greedy]);
    }
    assert.deepEqual(told, [
      [1500, [from('n_loud')]],
      [2500, [from('n_loud')]],
    ]);
    assert.equal(watch.lagMs, 1500);
  });
});

describe('notices to hold back', () => {
  const busy = (node: string, about?: string): Busy => {
    const to = { org: 'o_1', node, reason: 'inbox_full', retryAfterMs: 5000 } as const;
    return about === undefined ? to : { ...to, about: route(about) };
  };

  it('go to one node about one agent once in a period', () => {
    const notices = new BusyNotices();
    for (let ms = 0; ms < 10_000; ms += 10) {
      notices.note(busy('n_1', 'alice'), 5000, ms);
      notices.note(busy('n_2', 'alice'), 5000, ms);
      notices.note(busy('n_1'), 5000, ms);
    }
    assert.equal(notices.take().length, 6);
    assert.deepEqual(notices.take(), []);
  });

  it('are bounded in number, waiting and remembered', () => {
    const notices = new BusyNotices();
    for (let n = 0; n < 5000; n++) notices.note(busy(`n_${n}`), 5000, 0);
    assert.equal(notices.take().length, 1000);
    for (let n = 0; n < 30_000; n++) {
      notices.note(busy(`n_${n}`), 5000, 10_000);
      notices.take();
    }
    assert.equal(notices.remembered, 10_000);
  });
});

describe('denials', () => {
  const decision = { matchedPolicy: 'p_1', reason: 'MESSAGE_DENIED' } as Decision;
  const denial = (actor: string, target: string, org = 'o_1') => {
    return { org, actor, actorName: actor, target, targetName: target, decision };
  };

  it('are told of at once, and what repeats them as a number a period later', () => {
    const tally = new DenialTally({ everyMs: 60_000 });
    for (let n = 0; n < 50; n++) tally.note(denial('a', 'b'), n);
    const counts = (nowMs: number) => tally.take(nowMs).map(({ count }) => count);
    assert.deepEqual(counts(100), [1]);
    assert.deepEqual(counts(59_999), []);
    assert.deepEqual(counts(60_000), [49]);
    assert.deepEqual(counts(120_000), []);
    assert.equal(tally.rows, 0);
    tally.note(denial('a', 'b'), 120_000);
    assert.deepEqual(counts(120_000), [1]);
  });

  it('are each counted once, with a bounded number of events, whatever comes', () => {
    const some = fc.record({ a: fc.nat(30), b: fc.nat(30), org: fc.nat(2), afterMs: fc.nat(2000) });
    fc.assert(
      fc.property(fc.array(some, { maxLength: 600 }), (all) => {
        const tally = new DenialTally({ everyMs: 10_000 });
        let nowMs = 0;
        let counted = 0;
        for (const { a, b, org, afterMs } of all) {
          nowMs += afterMs;
          tally.note(denial(`a${a}`, `b${b}`, `o${org}`), nowMs);
          if (afterMs % 3 === 0) for (const { count } of tally.take(nowMs)) counted += count;
          assert.ok(tally.rows <= 3 * (PAIRS_OF_ORG_MAX + 1));
        }
        for (const { count } of tally.take(nowMs, true)) counted += count;
        assert.equal(counted, all.length);
        assert.equal(tally.rows, 0);
      }),
    );
  });

  it('of many pairs are told of together', () => {
    const tally = new DenialTally({ everyMs: 60_000 });
    for (let n = 0; n < 100_000; n++) tally.note(denial('a', `b${n}`), 0);
    assert.equal(tally.take(0).length, PAIRS_OF_ORG_MAX + 1);
    const [rest, ...none] = tally.take(60_000);
    assert.deepEqual([rest!.target, rest!.count, none.length], ['others', 100_000 - PAIRS_OF_ORG_MAX - 1, 0]);
  });

  it('of many orgs are bounded as well', () => {
    const tally = new DenialTally({ everyMs: 60_000 });
    for (let n = 0; n < 2 * ROWS_MAX; n++) {
      tally.note(denial('a', 'b', `o${n}`), 0);
      tally.note(denial('a', 'b', `o${n}`), 0);
    }
    assert.equal(tally.rows, ROWS_MAX);
    const told = [...tally.take(0), ...tally.take(0, true)];
    assert.equal(
      told.reduce((sum, { count }) => sum + count, 0),
      4 * ROWS_MAX,
    );
  });
});
