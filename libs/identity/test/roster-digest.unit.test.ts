/** Goal: both sides get the same number. Method: a value worked out by another program, and a law. */

import assert from 'node:assert/strict';
import { rosterDigest } from '@fleetwire/identity';
import fc from 'fast-check';
import { describe, it } from 'mocha';

const A1 = 0x1426674c44e8;
const A2 = 0xe5cda8318149;

describe('roster digest', () => {
  it('is the exclusive or of the first six bytes of each digest', () => {
    assert.equal(rosterDigest([]), 0);
    // printf %s a_1 | sha256sum | cut -c1-12, and the same of a_2
    assert.equal(rosterDigest(['a_1']), A1);
    assert.equal(rosterDigest(['a_1', 'a_2']), Number(BigInt(A1) ^ BigInt(A2)));
  });

  it('does not depend on the order, and stays a whole number', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string()), (ids) => {
        const digest = rosterDigest(ids);
        assert.ok(Number.isSafeInteger(digest) && digest >= 0 && digest < 2 ** 48);
        assert.equal(rosterDigest(ids.toReversed()), digest);
      }),
    );
  });
});
