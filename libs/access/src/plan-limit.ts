/** The one refusal of all plan limits: it names the limit and the plan that lifts it. */

import { FleetwireError } from '@fleetwire/kernel';
import { type LimitName, planThatLifts } from './plans.ts';

export interface PlanLimit {
  readonly limit: LimitName;
  /** In force. */
  readonly value: number;
  /** Name of the org's plan. */
  readonly plan: string;
  /** How many there are. */
  readonly present: number;
  /** Of the org, where known: some plans allow more agents to more members. */
  readonly members?: number;
}

/**
 * `resource_exhausted` `PLAN_LIMIT`, with details {limit, value, plan, lifted_by}. `lifted_by` is the name of the cheapest
 * plan above the org's own that has room for one more, and empty when there is none.
 */
export function planLimitError(reached: PlanLimit): FleetwireError {
  const { limit, value, plan, present, members = 1 } = reached;
  const liftedBy = planThatLifts(limit, present, { above: plan, members })?.name ?? '';
  const lifting = liftedBy === '' ? 'no other plan lifts this' : `the plan ${liftedBy} lifts this`;
  const one = limit.slice(0, -1);
  return new FleetwireError(
    'resource_exhausted',
    'PLAN_LIMIT',
    `the plan ${plan} allows this org ${value} ${value === 1 ? one : limit}, and it has ${present}; ${lifting}`,
    {
      help:
        liftedBy === ''
          ? `Remove one of the ${limit}, or ask the operator for a higher limit of ${limit}.`
          : `Change to the plan ${liftedBy} for more ${limit}, or remove one of the ${limit}.`,
      details: { limit, value: String(value), plan, lifted_by: liftedBy },
    },
  );
}
