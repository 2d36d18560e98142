/**
 * Goal: levels keep their order, none starves, and what is said to come next comes next.
 * Method: laws over random arrivals and departures, against plain lists as the model.
 */

import assert from 'node:assert/strict';
import { Priority } from '@fleetwire/gen/message';
import { PRIORITY_LEVELS, PRIORITY_TURNS, type PriorityLevel, priorityLevelOf } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Levels } from '../src/domain/levels.ts';

interface Item {
  readonly seq: number;
  readonly level: PriorityLevel;
}

const level = fc.constantFrom(...PRIORITY_LEVELS);
/** A level comes in; undefined: one goes out. */
const steps = fc.array(fc.option(level, { nil: undefined, freq: 2 }), { maxLength: 300 });

describe('levels of priority', () => {
  it('are first in first out each, and `ahead` tells what comes', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const levels = new Levels<Item>();
        const model = new Map<PriorityLevel, Item[]>(PRIORITY_LEVELS.map((one) => [one, []]));
        for (const [seq, step] of list.entries()) {
          if (step !== undefined) {
            const item = { seq: seq + 1, level: step };
            levels.push(item);
            model.get(step)!.push(item);
            continue;
          }
          const all = [...model.values()].flat();
          assert.equal(levels.length, all.length);
          assert.equal(levels.lowestSeq(), all.length === 0 ? 0 : Math.min(...all.map((item) => item.seq)));
          const told = [...levels.ahead()];
          assert.equal(told.length, all.length);
          const next = levels.next();
          assert.equal(told[0], next);
          assert.equal(levels.shift(), next);
          if (next !== undefined) assert.equal(next, model.get(next.level)!.shift());
        }
        const rest = [...levels.ahead()];
        assert.deepEqual(
          rest.map(() => levels.shift()),
          rest,
        );
      }),
    );
  });

  it('each get through, whatever keeps coming in above and below', () => {
    const comes = fc.array(level, { minLength: 60, maxLength: 60 });
    fc.assert(
      fc.property(level, comes, steps, (waiting, noise, before) => {
        const levels = new Levels<Item>();
        let seq = 0;
        for (const step of before) {
          if (step === undefined) levels.shift();
          else levels.push({ seq: ++seq, level: step });
        }
        while (levels.length > 0) levels.shift();
        const item = { seq: ++seq, level: waiting };
        for (const one of PRIORITY_LEVELS)
          if (one !== waiting) for (let i = 0; i < 60; i++) levels.push({ seq: ++seq, level: one });
        levels.push(item);
        let others = 0;
        for (; levels.shift() !== item; others++) levels.push({ seq: ++seq, level: noise[others]! });
        assert.ok(others < PRIORITY_TURNS, `${others} went before it`);
      }),
    );
  });

  it('are gone through from the lowest up, taken from the highest down, and put back where they were', () => {
    fc.assert(
      fc.property(fc.array(level, { maxLength: 40 }), fc.nat(3), (list, gone) => {
        const levels = new Levels<Item>();
        const items = list.map((one, i) => ({ seq: i + 1, level: one }));
        for (const item of items) levels.push(item);
        const up = items.toSorted((a, b) => a.level - b.level || a.seq - b.seq);
        assert.deepEqual([...levels], up);
        const next = levels.shift();
        if (next !== undefined) levels.unshift(next);
        assert.deepEqual([...levels], up);
        const of = (item: Item) => item.level >= gone;
        assert.deepEqual(
          levels.take(of),
          items.filter(of).sort((a, b) => b.level - a.level || a.seq - b.seq),
        );
        assert.equal(levels.length, items.filter((item) => !of(item)).length);
        assert.equal([...levels.ahead()].length, levels.length);
      }),
    );
  });

  it('take what has no known priority for normal', () => {
    const priorities: Priority[] = [
      0,
      Priority.LOW,
      Priority.NORMAL,
      Priority.HIGH,
      Priority.SYSTEM,
      99 as Priority,
    ];
    assert.deepEqual(
      priorities.map((one: Priority) => priorityLevelOf(one)),
      [1, 0, 1, 2, 3, 1],
    );
  });
});
