// Goal: the deque is a queue that holds on to nothing it has given out, and what keeps the newest forgets the oldest and no more.
// Method: laws over random steps, against plain arrays as the model.

import assert from 'node:assert/strict';
import { heldOf } from '@fleetwire/testkit';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Deque, keepNewest } from '../src/index.ts';

describe('deque', () => {
  it('is a queue', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(), { nil: undefined }), { maxLength: 5000 }), (steps) => {
        const deque = new Deque<number>();
        const model: number[] = [];
        for (const step of steps) {
          if (step === undefined) assert.equal(deque.shift(), model.shift());
          else {
            deque.push(step);
            model.push(step);
          }
          assert.equal(deque.length, model.length);
          assert.equal(deque.at(0), model[0]);
        }
        assert.deepEqual(deque.takeAll(), model);
        assert.equal(deque.length, 0);
      }),
    );
  });

  it('holds on to nothing that was taken out while more waits behind it', async () => {
    const deque = new Deque<object>();
    const references = Array.from({ length: 100 }, (_, i) => {
      const item = { i };
      deque.push(item);
      return new WeakRef(item);
    });
    for (let i = 0; i < 99; i++) deque.shift();
    assert.equal(await heldOf(references), 1);
    assert.deepEqual(deque.at(0), { i: 99 });
  });
});

describe('keepNewest', () => {
  it('forgets what was put in first, as far as it is too many', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(), { maxLength: 20 }), fc.nat(20), (keys, max) => {
        const map = new Map(keys.map((key) => [key, true]));
        keepNewest(map, max);
        assert.deepEqual([...map.keys()], keys.slice(Math.max(0, keys.length - max)));
      }),
    );
  });
});
