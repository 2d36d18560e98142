// Goal: higher levels go more often, in proportion to their weights, and none is starved.
// Method: fixed cases, and properties over any course of levels that wait.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { PRIORITY_WEIGHTS, type PriorityLevel, PriorityTurns, priorityLevelOf } from '../src/index.ts';

const ALL = 0b1111;

function takeFrom(turns: PriorityTurns, waiting: number): PriorityLevel | undefined {
  const level = turns.next(waiting);
  if (level !== undefined) turns.took(level, waiting);
  return level;
}

describe('priority levels', () => {
  it('follow the numbers of the contract; what is unknown is normal', () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, -1].map(priorityLevelOf), [1, 0, 1, 2, 3, 1, 1]);
  });

  it('share by weight while all wait, the highest first', () => {
    const turns = new PriorityTurns();
    const taken = Array.from({ length: 150 }, () => takeFrom(turns, ALL)!);
    assert.equal(taken[0], 3);
    const counts = PRIORITY_WEIGHTS.map((_, level) => taken.filter((one) => one === level).length);
    assert.deepEqual(counts, [10, 20, 40, 80]);
    assert.equal(takeFrom(turns, 0), undefined);
    assert.equal(takeFrom(turns, 0b0001), 0);
  });

  it('take only from what waits, and from each that goes on waiting within 30 times, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: ALL }), { maxLength: 200 }), (course) => {
        const turns = new PriorityTurns();
        const since = [0, 0, 0, 0];
        for (const waiting of course) {
          const level = takeFrom(turns, waiting)!;
          assert.ok((waiting & (1 << level)) !== 0);
          for (const other of [0, 1, 2, 3]) {
            since[other] = other === level || (waiting & (1 << other)) === 0 ? 0 : since[other]! + 1;
            assert.ok(since[other]! < 30, `level ${other} waits for the ${since[other]}th time`);
          }
        }
      }),
    );
  });
});
