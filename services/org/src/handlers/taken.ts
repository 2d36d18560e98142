/** What may be there once only: the breach of its unique index, told as an error of callers. */

import type { FleetwireError } from '@fleetwire/kernel';
import { isConflict } from '@fleetwire/store';

/** Gives what `work` gives; throws `taken` when it breaks the unique index. */
export async function unlessTaken<T>(
  index: string,
  taken: () => FleetwireError,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isConflict(error, index) ? taken() : error;
  }
}
