// Goal: services do not mark their whole heap for the buffers of messages that pass through.
// Method: a process that passes buffers on counts its collections, with and without, and its memory when it holds many.

import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { before, describe, it } from 'mocha';
import { COLLECTOR_FLAGS } from '../src/collector.ts';

const PROGRAM = fileURLToPath(new URL('./count-collections.ts', import.meta.url));
/** Marked for its own growth, and once more for luck. */
const FEW = 6;
const BUFFERS_MB = 256;

async function collections(how: 'tuned' | 'plain') {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, how]);
  return JSON.parse(stdout) as { passing: number; holding_mb: number };
}

describe('counting buffers as heap', () => {
  before(function () {
    if (COLLECTOR_FLAGS.length === 0) this.skip();
  });

  it('spares a process the marking of its whole heap for what passes, and bounds what was held', async function () {
    this.timeout(60_000);
    const [tuned, plain] = [await collections('tuned'), await collections('plain')];
    const about = JSON.stringify({ tuned, plain });
    assert.ok(tuned.passing <= FEW, about);
    assert.ok(plain.passing > FEW, about);
    // About doubled, what the process has beside them, and what comes while they are marked: this program only makes buffers.
    assert.ok(tuned.holding_mb < 8 * BUFFERS_MB, about);
  });
});
