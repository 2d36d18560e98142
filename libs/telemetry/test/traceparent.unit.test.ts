// Goal: traceparents follow W3C Trace Context, and code knows which trace it runs in.
// Method: laws over random ids, counter-examples by hand, async code inside and outside of a trace.

import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import {
  currentTraceparent,
  isSampled,
  isTraceparent,
  newTraceparent,
  runWithTrace,
  traceIdOf,
} from '@fleetwire/telemetry';
import fc from 'fast-check';
import { describe, it } from 'mocha';

describe('traceparent', () => {
  it('is always valid, new and flagged as asked', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const sampled = i % 2 === 0;
      const made = newTraceparent(sampled);
      assert.ok(isTraceparent(made), made);
      assert.equal(isSampled(made), sampled);
      seen.add(traceIdOf(made));
    }
    assert.equal(seen.size, 1000);
  });

  it('reads the sampled flag of every flags byte', () => {
    const base = newTraceparent().slice(0, -2);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), (flags) => {
        const text = `${base}${flags.toString(16).padStart(2, '0')}`;
        assert.ok(isTraceparent(text));
        assert.equal(isSampled(text), (flags & 1) === 1);
      }),
    );
  });

  it('knows what is none', () => {
    const good = newTraceparent();
    for (const bad of [
      '',
      'x',
      good.toUpperCase().replace('00-', '00-A'),
      good.slice(1),
      `${good}0`,
      good.replace(/^00/, 'ff'),
      `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`,
      `00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`,
    ])
      assert.equal(isTraceparent(bad), false, bad);
    assert.equal(traceIdOf('short'), '');
  });

  it('follows asynchronous code, and no further', async () => {
    const traceparent = newTraceparent();
    await runWithTrace(traceparent, async () => {
      await turn();
      assert.equal(currentTraceparent(), traceparent);
    });
    assert.equal(currentTraceparent(), '');
  });
});
