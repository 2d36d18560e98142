/**
 * Goal: a router never refuses what a node that keeps to the policy has let through, whenever that arrives; beyond, it refuses.
 * Method: honest nodes that fast-check makes up, cut off and restarted; plain counting for nodes and orgs.
 */

import assert from 'node:assert/strict';
import { TokenBucket } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { agentRate, RateLimits } from '../src/domain/rate-limits.ts';

const START_MS = 1_790_000_000_000;
const at = (storedAtMs: number, node = 'n_1', org = 'o_1') => ({ org, node, storedAtMs });
const perSecond = (tokens: number, burst = tokens) => ({ tokens, perMs: 1000, burst });
const limits = (over: Partial<ConstructorParameters<typeof RateLimits>[0]> = {}) =>
  new RateLimits({ node: undefined, org: undefined, bucketsMax: 1000, ...over });

describe('the limit of an agent', () => {
  it('never refuses what its node has let through, though it comes late and all at once, or the node has restarted', () => {
    const run = fc.record({
      perMinute: fc.integer({ min: 1, max: 20 }),
      gaps: fc.array(fc.oneof(fc.nat(200), fc.nat(20_000)), { minLength: 100, maxLength: 300 }),
      restartAt: fc.nat(300),
      cutOffMs: fc.nat(12 * 3_600_000),
    });
    fc.assert(
      fc.property(run, ({ perMinute, gaps, restartAt, cutOffMs }) => {
        const rate = { tokens: perMinute, perMs: 60_000, burst: perMinute };
        let node = new TokenBucket(rate, START_MS);
        const accepted: number[] = [];
        let nowMs = START_MS;
        for (const [i, gap] of gaps.entries()) {
          nowMs += gap;
          if (i === restartAt) node = new TokenBucket(rate, nowMs);
          if (node.take(1, nowMs).ok) accepted.push(nowMs);
        }
        const router = limits();
        const stored = nowMs + cutOffMs;
        for (const ms of accepted) assert.equal(router.ofAgent(at(stored), 'a_1', perMinute, ms), undefined);
      }),
    );
  });

  it('refuses what no node that keeps to it would let through, and says when the next may come', () => {
    const router = limits();
    const { burst } = agentRate(60);
    for (let n = 0; n < burst; n++)
      assert.equal(router.ofAgent(at(START_MS), 'a_1', 60, START_MS), undefined);
    const over = router.ofAgent(at(START_MS), 'a_1', 60, START_MS);
    assert.deepEqual(over, { of: 'agent', retryAfterMs: 834 });
    assert.equal(router.ofAgent(at(START_MS), 'a_2', 60, START_MS), undefined);
    const later = START_MS + 834;
    assert.equal(router.ofAgent(at(later), 'a_1', 60, later), undefined);
  });

  it('lets nobody claim tokens of a distant past, or of the future', () => {
    const router = limits();
    const { burst } = agentRate(1);
    let passed = 0;
    for (let n = 0; n < 100; n++)
      if (router.ofAgent(at(START_MS), 'a_1', 1, n * 3_600_000) === undefined) passed++;
    assert.equal(passed, burst);
    for (let n = 0; n < 100; n++)
      if (router.ofAgent(at(START_MS), 'a_2', 1, START_MS + n * 3_600_000) === undefined) passed++;
    assert.equal(passed, 2 * burst);
  });
});

describe('the limits of nodes and orgs', () => {
  it('hold for each node, and for all of an org together', () => {
    const router = limits({ node: perSecond(10), org: perSecond(15) });
    const passed = (node: string, org: string, atMs: number) => {
      let count = 0;
      while (router.ofNode(at(atMs, node, org)) === undefined) count++;
      return count;
    };
    assert.deepEqual([passed('n_1', 'o_1', START_MS), passed('n_2', 'o_1', START_MS)], [10, 5]);
    assert.equal(passed('n_1', 'o_2', START_MS), 10);
    assert.equal(passed('n_1', 'o_1', START_MS + 500), 5);
  });

  it('warn before they refuse', () => {
    const router = limits({ node: perSecond(100) });
    const warned: number[] = [];
    for (let n = 1; n <= 100; n++) {
      assert.equal(router.ofNode(at(START_MS)), undefined);
      if (router.nearlyEmpty(at(START_MS)) !== undefined) warned.push(n);
    }
    assert.deepEqual([warned[0], warned.length], [91, 10]);
    assert.equal(router.nearlyEmpty(at(START_MS)), 200);
    assert.equal(router.nearlyEmpty(at(START_MS + 200)), undefined);
  });

  it('are none where none is set', () => {
    const router = limits();
    assert.equal(router.limitsNodes, false);
    for (let n = 0; n < 1000; n++) assert.equal(router.ofNode(at(START_MS)), undefined);
  });
});
