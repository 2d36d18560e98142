/** Optimistic concurrency: an update goes by the version that its author has seen. */

import { FleetwireError } from '@fleetwire/kernel';

/** Throws aborted VERSION_MISMATCH, or invalid_argument VERSION_MISSING. */
export function checkVersion(given: number, present: number): void {
  if (given === present) return;
  if (given === 0) {
    throw new FleetwireError(
      'invalid_argument',
      'VERSION_MISSING',
      'an update needs the version that you have read',
      {
        help: 'Read it first and send its version.',
        violations: [{ field: 'version', description: 'must be the version that was read' }],
      },
    );
  }
  throw new FleetwireError('aborted', 'VERSION_MISMATCH', 'somebody else has changed it meanwhile', {
    help: 'Read it again, and decide anew.',
    details: { given: String(given), present: String(present) },
  });
}
