/** What a call was refused with. */

import type { FleetwireError } from '@fleetwire/kernel';

/** The error that a call was refused with; undefined when it was not. */
export function errorOf(work: Promise<unknown>): Promise<FleetwireError | undefined> {
  return work.then(
    () => undefined,
    (error: FleetwireError) => error,
  );
}

/** The reason that a call was refused with; `none` when it was not. A fault that has no reason is told as it is. */
export async function reasonOf(work: Promise<unknown>): Promise<string> {
  const error = await errorOf(work);
  return error === undefined ? 'none' : (error.reason ?? String(error));
}
