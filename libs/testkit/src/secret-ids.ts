/** What is checked of ids that replicas share and others must not know. */

import assert from 'node:assert/strict';

/** One secret gives one id, the same again at every replica, and another secret another one. `idsBy`: with this secret. */
export async function assertSecretIds(idsBy: (secret: Uint8Array) => Promise<string[]>): Promise<void> {
  const [one, again, other] = [
    await idsBy(Buffer.alloc(32, 1)),
    await idsBy(Buffer.alloc(32, 1)),
    await idsBy(Buffer.alloc(32, 2)),
  ];
  assert.equal(one.length, 1);
  assert.deepEqual(again, one);
  assert.notDeepEqual(other, one);
}
