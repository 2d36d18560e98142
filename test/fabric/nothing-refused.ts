/** A check of every fabric test at its end: nobody of ours asked the NATS server for what the table of rights lacks. */

import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';

/** `log` is the server's log file; without one there was no server. Throws with the lines that say otherwise. */
export function assertNothingRefused(log: string): void {
  const text = existsSync(log) ? readFileSync(log, 'utf8') : '';
  const refused = text.split('\n').filter((line) => /(Publish|Subscription|Reply) Violation/.test(line));
  assert.deepEqual(refused.slice(0, 10), [], 'the NATS server refused something of ours: a right is missing');
}
