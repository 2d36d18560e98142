/** Goal: keys that the servers cannot be told of are not tried for ever. Method: keys, consumers and a clock in memory. */

import assert from 'node:assert/strict';
import { systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { settleKeys, settlingSeldom } from '../src/handlers/settle-keys.ts';

describe('removed keys', () => {
  const setup = (mounted: { now: boolean }) => {
    const counts = { revoked: 0, told: 0, removed: 0 };
    const key = { publicKey: 'U1', node: 'n_1', shard: 0, reason: 'removed' as const, untilS: 1 };
    const settling = {
      keys: {
        untold: async () => [{ org: 'o_1', keys: [key] }],
        told: async () => void counts.told++,
        orgs: async () => [],
        revocations: async () => ({}),
      },
      consumers: { remove: async () => void counts.removed++ },
      revoke: async () => {
        counts.revoked++;
        return mounted.now;
      },
      max: 10,
      clock: systemClock,
    };
    return { counts, settling };
  };

  it('are tried every five minutes while there is no way to tell the servers, and at each turn else', async () => {
    const mounted = { now: false };
    const { counts, settling } = setup(mounted);
    let now = 0;
    const turn = settlingSeldom(() => settleKeys(settling as never), { monotonicMs: () => now });
    for (; now < 300_000; now += 5000) await turn();
    assert.deepEqual(counts, { revoked: 1, told: 0, removed: 1 });
    mounted.now = true;
    for (let turns = 0; turns < 3; turns++) await turn();
    assert.deepEqual(counts, { revoked: 4, told: 3, removed: 4 });
  });

  it('that cannot be told for now are due at the next turn', async () => {
    let tries = 0;
    const turn = settlingSeldom(() => Promise.reject(new Error(`${++tries}`)), systemClock);
    await assert.rejects(turn());
    await assert.rejects(turn());
    assert.equal(tries, 2);
  });
});
