/** Goal: both sides come to the same number whatever the order, and an agent more or less is seen. Method: known values. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'mocha';
import { rosterDigest } from '../src/index.ts';

describe('the digest of a roster', () => {
  const first6 = (id: string) => createHash('sha256').update(id).digest().readUIntBE(0, 6);

  it('is 0 for none, of one its hash, of more the exclusive or, in any order', () => {
    assert.equal(rosterDigest([]), 0);
    assert.equal(rosterDigest(['a_1']), first6('a_1'));
    const both = Number(BigInt(first6('a_1')) ^ BigInt(first6('a_2')));
    assert.equal(rosterDigest(['a_1', 'a_2']), both);
    assert.equal(rosterDigest(new Set(['a_2', 'a_1'])), both);
  });
});
