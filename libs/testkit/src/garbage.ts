/** What is still held on to, told by the collector itself. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** How many of these are still there after a full collection: the caller must hold none of them itself. */
export async function heldOf(references: readonly WeakRef<object>[]): Promise<number> {
  // What a WeakRef was asked for lives until the turn of the event loop has ended.
  await new Promise((resolve) => setImmediate(resolve));
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return references.filter((reference) => reference.deref() !== undefined).length;
}
