// Goal: the chaos test can fail: with the rule off that keeps a promise, its reconciliation finds what is broken then.
// Method: the same run with one piece of the product's text replaced as it is loaded. The primary key is quickest to be
// missed and is tried here; `npm run chaos -- --mutate` tries each of them.

import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { childEnvironment } from '@fleetwire/config';
import { testSeed } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { MUTATIONS, preloadOf } from './mutations.ts';
import { lineOf } from './outcome.ts';
import { chaosRun } from './run.ts';

const MESSAGES = 15_000;
const RATE = 500;
const TRIES = 4;

describe('a rule switched off', function () {
  this.timeout(1_800_000);

  for (const mutation of MUTATIONS)
    it(`is a text that the product has: ${mutation.name}`, async () => {
      const [url] = preloadOf(mutation)[mutation.role]!;
      await promisify(execFile)(process.execPath, ['--import', url!, '--eval', '0'], {
        env: childEnvironment(),
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
      });
    });

  it('is found: the primary key of the receiving node', async () => {
    const mutation = MUTATIONS.find(({ name }) => name === 'primary-key')!;
    const preload = preloadOf(mutation);
    const first = testSeed();
    const found: string[] = [];
    for (let seed = first; seed < first + TRIES && found.length === 0; seed++) {
      const run = {
        seed,
        messages: MESSAGES,
        rate: RATE,
        preload,
        expectFindings: true,
        report: () => undefined,
      };
      const outcome = await chaosRun(run);
      console.log(`      ${lineOf(seed, outcome)}`);
      found.push(...outcome.findings.map(({ fault }) => fault));
    }
    assert.ok(found.includes(mutation.finds), `${TRIES} runs have found nothing`);
  });
});
