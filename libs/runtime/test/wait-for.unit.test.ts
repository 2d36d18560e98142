// Goal: waiting at start ends by success, by what time cannot cure, by the time-out, or by a stop; and says what it waits for.
// Method: attempts that fail as told, and short limits.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { waitFor } from '../src/wait-for.ts';

const away = () => Promise.reject(new FleetwireError('unavailable', 'DATABASE_AWAY', 'refused'));

function options(waitMs: number) {
  const lines: string[] = [];
  const stop = new AbortController();
  return {
    lines,
    stop,
    what: 'PostgreSQL',
    waitMs,
    leaving: stop.signal,
    help: 'Start it.',
    worthWaiting: (error: FleetwireError) => error.kind === 'unavailable',
    report: (line: string) => lines.push(line),
  };
}

describe('waitFor', () => {
  it('tries until it works, and says that it waits', async () => {
    let tries = 0;
    const given = options(10_000);
    assert.equal(await waitFor(async () => (++tries < 3 ? away() : 'there'), given), 'there');
    assert.deepEqual(given.lines, ['waiting for PostgreSQL']);
  });

  it('gives up with the reason of the last error, and what to do', async () => {
    await assert.rejects(waitFor(away, options(30)), (error: FleetwireError) => {
      assert.deepEqual([error.kind, error.reason, error.help], ['unavailable', 'DATABASE_AWAY', 'Start it.']);
      return true;
    });
  });

  it('does not wait for what time cannot cure', async () => {
    const bad = new FleetwireError('failed_precondition', 'STREAM_DRIFT', 'differs');
    await assert.rejects(
      waitFor(() => Promise.reject(bad), options(60_000)),
      bad,
    );
  });

  it('stops waiting when the service is to end', async () => {
    const given = options(60_000);
    const waiting = waitFor(away, given);
    setImmediate(() => given.stop.abort());
    await assert.rejects(waiting, { kind: 'cancelled', reason: 'STOPPING' });
  });
});
