// Goal: what is under way is found by its own number only, however often its place is used, and none is held when taken.
// Method: random steps against a plain map, and the collector's word.

import { strict as assert } from 'node:assert';
import { heldOf } from '@fleetwire/testkit';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { UnderWay } from '../src/under-way.ts';

const MAX = 8;

describe('what is under way', () => {
  it('is taken once, by the number that it was given', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30), { nil: undefined }), { maxLength: 300 }), (steps) => {
        const underWay = new UnderWay<{ readonly step: number }>(MAX);
        const model = new Map<number, { readonly step: number }>();
        const given: number[] = [];
        for (const [step, back] of steps.entries()) {
          if (back === undefined && !underWay.full) {
            const number = underWay.add({ step });
            assert.ok(!given.includes(number), 'a number is never given again');
            given.push(number);
            model.set(number, { step });
          } else if (back !== undefined) {
            const number = given.at(-1 - back) ?? -1;
            assert.deepEqual(underWay.take(number), model.get(number));
            model.delete(number);
          }
          assert.equal(underWay.size, model.size);
          assert.equal(underWay.full, model.size === MAX);
        }
        const odd = [...model.values()].filter(({ step }) => step % 2 === 1);
        assert.deepEqual(
          underWay.takeAll(({ step }) => step % 2 === 1),
          odd,
        );
        assert.equal(underWay.size, model.size - odd.length);
      }),
    );
  });

  it('knows no number that was never given', () => {
    const underWay = new UnderWay<string>(MAX);
    const number = underWay.add('a');
    for (const other of [number + MAX, number + 1, -1, 0.5, Number.NaN])
      assert.equal(underWay.take(other), undefined, String(other));
    assert.equal(underWay.take(number), 'a');
  });

  it('holds on to nothing that was taken', async () => {
    const underWay = new UnderWay<object>(1000);
    const numbers: number[] = [];
    const references = Array.from({ length: 100 }, (_, i) => {
      const what = { i };
      numbers.push(underWay.add(what));
      return new WeakRef(what);
    });
    for (const number of numbers.slice(1)) underWay.take(number);
    assert.equal(await heldOf(references), 1);
    assert.equal(underWay.size, 1);
  });
});
