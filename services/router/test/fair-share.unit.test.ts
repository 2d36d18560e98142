/**
 * Goal: partitions are shared fairly, and every one of them ends with one holder.
 * Method: laws over random memberships, and rounds of looks by all members until nothing changes.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { quota, share } from '../src/domain/fair-share.ts';

const members = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { minLength: 1, maxLength: 9 });
const partitions = fc.integer({ min: 1, max: 32 });

describe('fair share', () => {
  it('adds up to all partitions, none more than ceil(P / n), however the members are listed', () => {
    fc.assert(
      fc.property(partitions, members, (p, live) => {
        const quotas = live.map((me) => quota(p, live, me));
        assert.equal(
          quotas.reduce((a, b) => a + b, 0),
          p,
        );
        assert.ok(quotas.every((q) => q <= Math.ceil(p / live.length)));
        assert.deepEqual(
          quotas,
          live.map((me) => quota(p, [...live].reverse(), me)),
        );
      }),
    );
  });

  it('ends, from any start, with every partition held once and every member at its quota', () => {
    const start = fc.tuple(partitions, members, fc.array(fc.nat(), { maxLength: 32 }));
    fc.assert(
      fc.property(start, ([p, live, holders]) => {
        const held = new Map<number, string>();
        holders.slice(0, p).forEach((h, i) => {
          held.set(i, live[h % live.length]!);
        });
        for (let round = 0; round < 2 * p + 2; round++) {
          for (const me of live) look(p, live, me, held);
        }
        assert.equal(held.size, p);
        for (const me of live) {
          assert.equal([...held.values()].filter((h) => h === me).length, quota(p, live, me));
        }
      }),
    );
  });

  it('gives up one partition at a time, and none while it is within its share', () => {
    const view = { partitions: 8, me: 'a', taken: new Set<number>() };
    const over = share({ ...view, live: ['a', 'b'], mine: [0, 1, 2, 3, 4, 5] });
    assert.deepEqual(over, { acquire: [], release: 5 });
    assert.equal(share({ ...view, live: ['a', 'b'], mine: [0, 1, 2, 3] }).release, undefined);
  });

  it('counts itself in before its presence is seen', () => {
    assert.equal(quota(8, ['b'], 'a'), 4);
  });
});

function look(p: number, live: readonly string[], me: string, held: Map<number, string>): void {
  const mine = [...held].filter(([, holder]) => holder === me).map(([partition]) => partition);
  const decision = share({ partitions: p, live, me, mine, taken: new Set(held.keys()) });
  for (const partition of decision.acquire) if (!held.has(partition)) held.set(partition, me);
  if (decision.release !== undefined) held.delete(decision.release);
}
