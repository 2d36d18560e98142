// Goal: higher levels go more often, in proportion to their weights, and none is starved.
// Method: fixed cases, and properties over any course of levels that wait.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { PRIORITY_LEVELS, PRIORITY_TURNS, PriorityTurns, priorityLevelOf } from '../src/index.ts';

const ALL = 0b1111;

function take(turns: PriorityTurns, waiting: number): number {
  const level = turns.next(waiting);
  turns.took(level, waiting);
  return level;
}

/** What waits at each turn. */
const courses = fc.array(fc.integer({ min: 1, max: ALL }), { minLength: PRIORITY_TURNS * 3, maxLength: 200 });

describe('priority levels', () => {
  it('follow the numbers of the contract; what is unknown is normal', () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, -1].map(priorityLevelOf), [1, 0, 1, 2, 3, 1, 1]);
  });

  it('share by weight while all wait, the highest first', () => {
    const turns = new PriorityTurns();
    const taken = Array.from({ length: 150 }, () => take(turns, ALL));
    assert.equal(taken[0], 3);
    const counts = PRIORITY_LEVELS.map((level) => taken.filter((one) => one === level).length);
    assert.deepEqual(counts, [80, 40, 20, 10]);
    assert.equal(take(turns, 0b0001), 0);
  });

  it('are next only while they wait, and then once in so many turns, whatever the others do', () => {
    fc.assert(
      fc.property(courses, (course) => {
        const turns = new PriorityTurns();
        const since = [0, 0, 0, 0];
        for (const waiting of course) {
          const next = take(turns, waiting);
          assert.notEqual(waiting & (1 << next), 0);
          for (const level of PRIORITY_LEVELS) {
            const passed = level !== next && (waiting & (1 << level)) !== 0;
            since[level] = passed ? since[level]! + 1 : 0;
            assert.ok(since[level]! < PRIORITY_TURNS, `${since[level]} turns without level ${level}`);
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('go from the highest down where few wait', () => {
    const left = [1, 1, 2, 2];
    const turns = new PriorityTurns();
    const taken: number[] = [];
    for (let n = 0; n < 6; n++) {
      const waiting = left.reduce((set, count, level) => (count > 0 ? set | (1 << level) : set), 0);
      const level = take(turns, waiting);
      left[level]!--;
      taken.push(level);
    }
    assert.deepEqual(taken, [3, 3, 2, 2, 1, 0]);
  });

  it('are told ahead by a copy', () => {
    fc.assert(
      fc.property(courses, (course) => {
        const turns = new PriorityTurns();
        for (const waiting of course.splice(0, 20)) take(turns, waiting);
        const copy = turns.copy();
        const told = course.map((waiting) => take(copy, waiting));
        assert.deepEqual(
          course.map((waiting) => take(turns, waiting)),
          told,
        );
      }),
    );
  });
});
