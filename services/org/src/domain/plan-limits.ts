/** The limits of an org's plan, where org itself enforces them: members and workspaces. */

import { limitsOf, planByName, planLimitError } from '@fleetwire/access';
import type { Limits } from '@fleetwire/gen/access';
import { invariant } from '@fleetwire/kernel';

interface Planned {
  readonly plan: string;
  /** Instead of the plan's; null: none. */
  readonly limits: Partial<Limits> | null;
}

export function limitsInForce(org: Planned, members: number): Limits {
  const plan = planByName(org.plan);
  invariant(plan !== undefined, `the plan ${org.plan} is none of ours`);
  return limitsOf(plan, members, org.limits ?? {});
}

/** Throws resource_exhausted PLAN_LIMIT when one more than `present` would be too many. */
export function refuseOverLimit(
  org: Planned,
  members: number,
  what: 'members' | 'workspaces' | 'agents',
  present: number,
): void {
  const limit = limitsInForce(org, members)[what];
  if (limit < 0 || present < limit) return;
  throw planLimitError({ limit: what, value: limit, plan: org.plan, present, members });
}
