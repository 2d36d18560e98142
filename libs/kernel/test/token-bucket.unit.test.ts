/**
 * Goal: a bucket never gives more than its burst and what has flowed in since, and keeps its word about the time to wait.
 * Method: takes at random times, reckoned up over every span.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { TokenBucket } from '../src/token-bucket.ts';

const rates = fc.record({
  tokens: fc.integer({ min: 1, max: 5000 }),
  perMs: fc.constantFrom(1000, 60_000, 7),
  burst: fc.integer({ min: 1, max: 200 }),
});
const takes = fc.array(fc.record({ afterMs: fc.nat(400), n: fc.integer({ min: 1, max: 200 }) }), {
  maxLength: 60,
});

describe('a token bucket', () => {
  it('gives at most burst + rate * t in every span', () => {
    fc.assert(
      fc.property(rates, takes, fc.nat(), (rate, wanted, startMs) => {
        const bucket = new TokenBucket(rate, startMs);
        let nowMs = startMs;
        const given: { readonly atMs: number; readonly n: number }[] = [];
        for (const { afterMs, n } of wanted) {
          nowMs += afterMs;
          const fits = Math.min(n, rate.burst);
          if (bucket.take(fits, nowMs).ok) given.push({ atMs: nowMs, n: fits });
        }
        for (let i = 0; i < given.length; i++) {
          let sum = 0;
          for (let j = i; j < given.length; j++) {
            sum += given[j]!.n;
            // Compared as whole numbers: no rounding may hide one token too many.
            const flowed = (given[j]!.atMs - given[i]!.atMs) * rate.tokens;
            assert.ok(sum * rate.perMs <= rate.burst * rate.perMs + flowed);
          }
        }
      }),
    );
  });

  it('is refused until the time it tells has passed, and not a millisecond longer', () => {
    fc.assert(
      fc.property(rates, takes, (rate, wanted) => {
        let nowMs = 1_000;
        const bucket = new TokenBucket(rate, nowMs);
        for (const { afterMs, n } of wanted) {
          nowMs += afterMs;
          const fits = Math.min(n, rate.burst);
          const answer = bucket.take(fits, nowMs);
          if (answer.ok) continue;
          assert.ok(answer.retryAfterMs >= 1);
          assert.equal(bucket.take(fits, nowMs + answer.retryAfterMs - 1).ok, false);
          nowMs += answer.retryAfterMs;
          assert.equal(bucket.take(fits, nowMs).ok, true);
        }
      }),
    );
  });

  it('is not fuller because the clock went back, or because its rate was set again', () => {
    const rate = { tokens: 10, perMs: 1000, burst: 5 };
    const bucket = new TokenBucket(rate, 10_000);
    assert.equal(bucket.take(5, 10_000).ok, true);
    assert.deepEqual(bucket.take(1, 5_000), { ok: false, retryAfterMs: 100 });
    bucket.setRate({ ...rate }, 10_050);
    assert.equal(bucket.take(1, 10_099).ok, false);
    assert.equal(bucket.take(1, 10_100).ok, true);
    bucket.setRate({ tokens: 60, perMs: 60_000, burst: 60 }, 10_100);
    assert.equal(bucket.left(10_100), 55);
    bucket.setRate({ tokens: 60, perMs: 60_000, burst: 2 }, 10_100);
    assert.equal(bucket.left(10_100), 0);
    assert.equal(bucket.full(12_099), false);
    assert.equal(bucket.full(12_100), true);
  });
});
