// Goal: a tally counts, and forgets what it has none of.
// Method: a law over random steps, against a plain list as the model.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Tally } from '../src/index.ts';

describe('tally', () => {
  it('counts each by itself', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(3))), (steps) => {
        const tally = new Tally<number>();
        const model = [0, 0, 0, 0];
        for (const [more, key] of steps) {
          if (more) tally.add(key);
          else if (model[key]! > 0) tally.drop(key);
          model[key] = Math.max(0, model[key]! + (more ? 1 : -1));
          assert.deepEqual(
            [0, 1, 2, 3].map((each) => tally.of(each)),
            model,
          );
        }
      }),
    );
  });
});
