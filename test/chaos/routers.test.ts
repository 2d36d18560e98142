// Goal: whatever happens to routers, every accepted message arrives once, in the order of its pair, and ends confirmed.
// Method: four routers are killed, paused beyond their leases and restarted by a schedule that the seed fixes, while 100
// agents on four nodes write to 100 others; what the receiving agents took and what history says is held against what
// was accepted. FLEETWIRE_TEST_SEED makes a run again, FLEETWIRE_TEST_CHAOS_MESSAGES makes it longer.

import { strict as assert } from 'node:assert';
import { testSeed } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { lineOf } from './outcome.ts';
import { summary } from './reconcile.ts';
import { chaosRun } from './run.ts';

const MESSAGES = Number(process.env['FLEETWIRE_TEST_CHAOS_MESSAGES'] ?? 30_000);
/** So that the faults of about a minute fall into the run. */
const RATE = 500;

describe('routers under chaos', function () {
  // What does not move any more ends the run; this is only for what hangs altogether.
  this.timeout(1_800_000);

  it('lose nothing, double nothing, swap nothing, and history says so', async () => {
    const seed = testSeed();
    console.log(`      seed ${seed}`);
    const log: string[] = [];
    const outcome = await chaosRun({
      seed,
      messages: MESSAGES,
      rate: RATE,
      report: (line) => log.push(line),
    });
    console.log(`      ${lineOf(seed, outcome)}`);
    if (outcome.findings.length > 0) console.error(log.join('\n'));
    assert.equal(summary(outcome.findings), '');
    assert.ok(outcome.accepted >= MESSAGES, `only ${outcome.accepted} were accepted`);
    assert.ok(outcome.takeOvers > 16, `only ${outcome.takeOvers} times a partition was taken over`);
  });
});
