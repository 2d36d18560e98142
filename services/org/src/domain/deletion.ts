/** The deletion of an org: its steps, in their order, and until when it can be undone. */

import { FleetwireError } from '@fleetwire/kernel';

/** Each is done, and known to be done, before the next one begins. */
export const DELETION_STEPS = [
  /** The billing provider has no live subscription any more. */
  'cancel_subscription',
  /** The registry has removed the org's agents and nodes, and has said so. */
  'clear_agents',
  'suspend_workspaces',
  'delete_memberships',
  'delete_org',
] as const;
export type DeletionStep = (typeof DELETION_STEPS)[number];

/** Undefined after the last one. */
export function stepAfter(step: DeletionStep): DeletionStep | undefined {
  return DELETION_STEPS[DELETION_STEPS.indexOf(step) + 1];
}

const RESTORABLE_MS = 30 * 24 * 3_600_000;

/** Why a deleted org cannot be restored; undefined: it can. */
export function restoreRefusal(
  org: {
    readonly status: string;
    readonly deletion_step: string | null;
    readonly deleted_at_ms: number | null;
  },
  nowMs: number,
): FleetwireError | undefined {
  if (org.status === 'active')
    return new FleetwireError('failed_precondition', 'ORG_NOT_DELETED', 'this org is not deleted');
  // Up to here nobody has lost anything that is not made anew.
  if (org.deletion_step === 'cancel_subscription' || org.deletion_step === 'clear_agents') return undefined;
  if (org.status === 'deleting')
    return new FleetwireError(
      'failed_precondition',
      'DELETION_RUNNING',
      'the deletion of this org is still under way',
      {
        help: 'Wait until it is through, then restore the org.',
        retryAfterMs: 5000,
      },
    );
  if (nowMs - (org.deleted_at_ms ?? 0) <= RESTORABLE_MS) return undefined;
  return new FleetwireError(
    'failed_precondition',
    'RESTORE_TOO_LATE',
    'this org was deleted more than 30 days ago',
  );
}
