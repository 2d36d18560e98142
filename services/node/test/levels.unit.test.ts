/**
 * Goal: levels keep their order, none starves, and what is said to come next comes next.
 * Method: laws over random arrivals and departures, against plain lists as the model.
 */

import assert from 'node:assert/strict';
import { Priority } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { LEVELS, type Level, Levels, levelOf } from '../src/domain/levels.ts';

interface Item {
  readonly seq: number;
  readonly level: Level;
}

const level = fc.constantFrom(...LEVELS);
/** A level comes in; undefined: one goes out. */
const steps = fc.array(fc.option(level, { nil: undefined, freq: 2 }), { maxLength: 300 });

describe('levels of priority', () => {
  it('are first in first out each, and `ahead` tells what comes', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const levels = new Levels<Item>();
        const model = new Map<Level, Item[]>(LEVELS.map((one) => [one, []]));
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
    fc.assert(
      fc.property(
        level,
        fc.array(level, { minLength: 60, maxLength: 60 }),
        steps,
        (waiting, noise, before) => {
          const levels = new Levels<Item>();
          let seq = 0;
          for (const step of before) {
            if (step === undefined) levels.shift();
            else levels.push({ seq: ++seq, level: step });
          }
          while (levels.length > 0) levels.shift();
          const item = { seq: ++seq, level: waiting };
          for (const one of LEVELS)
            if (one !== waiting) for (let i = 0; i < 60; i++) levels.push({ seq: ++seq, level: one });
          levels.push(item);
          let others = 0;
          for (; levels.shift() !== item; others++) levels.push({ seq: ++seq, level: noise[others]! });
          assert.ok(others < 30, `${others} went before it`);
        },
      ),
    );
  });

  it('give the higher ones more turns', () => {
    const levels = new Levels<Item>();
    for (let seq = 1; seq <= 120; seq++) levels.push({ seq, level: (seq % 4) as Level });
    const first = Array.from({ length: 15 }, () => levels.shift()!.level);
    assert.deepEqual(
      LEVELS.map((one) => first.filter((other) => other === one).length),
      [8, 4, 2, 1],
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
      priorities.map((one: Priority) => levelOf(one)),
      [2, 3, 2, 1, 0, 2],
    );
  });
});
