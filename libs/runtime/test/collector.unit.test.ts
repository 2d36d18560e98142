// Goal: services do not mark their whole heap for the buffers of messages that pass through.
// Method: a process that passes buffers on counts its collections, with and without.

import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, it } from 'mocha';

const PROGRAM = fileURLToPath(new URL('./count-collections.ts', import.meta.url));
/** Marked twice at most: once when the heap has grown, and once more for luck. */
const FEW = 2;

async function collections(how: 'tuned' | 'plain'): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, how]);
  return Number(stdout);
}

describe('counting buffers as heap', () => {
  it('spares a process that moves large buffers the marking of its whole heap', async () => {
    const [tuned, plain] = [await collections('tuned'), await collections('plain')];
    assert.deepEqual(
      { tuned: tuned <= FEW, plain: plain > FEW },
      { tuned: true, plain: true },
      `${tuned} and ${plain}`,
    );
  });
});
