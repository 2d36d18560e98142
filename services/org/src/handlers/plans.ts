/** GetPlan, ListPlans, ChangePlan, SetLimits, GetUsage. */

import { PLANS, type Plan as PlanData, planByName, seatsOf } from '@fleetwire/access';
import type { Limits } from '@fleetwire/gen/access';
import type {
  ChangePlanRequest,
  ChangePlanResponse,
  GetPlanRequest,
  GetPlanResponse,
  GetUsageRequest,
  GetUsageResponse,
  ListPlansResponse,
  Plan,
  SetLimitsRequest,
  SetLimitsResponse,
} from '@fleetwire/gen/org';
import { OPERATOR } from '../domain/authorize.ts';
import { limitsInForce } from '../domain/plan-limits.ts';
import { refuseViolations } from '../domain/texts.ts';
import { billingDue, memberCount, openInvites } from '../store/orgs.ts';
import { workspaceCount } from '../store/workspaces.ts';
import { type Call, change, look } from './act.ts';
import { checkOrdered, checkPlan } from './create-org.ts';
import type { OrgParts } from './parts.ts';
import { shownOrg } from './shown-org.ts';

const USAGE_DAYS = { initial: 30, max: 366 };

export function getPlan(parts: OrgParts, request: GetPlanRequest, call: Call): Promise<GetPlanResponse> {
  return look(parts, 'getPlan', call, request.org, async ({ query, org, nowMs }) => {
    const plan = planByName(org.plan)!;
    const members = await memberCount(query, org.id);
    return {
      plan: shownPlan(plan),
      limits: limitsInForce(org, members),
      members,
      workspaces: await workspaceCount(query, org.id),
      openInvites: await openInvites(query, org.id, nowMs),
      seats: seatsOf(plan, members),
      billingStatus: org.billing_status,
    };
  });
}

export function listPlans(): ListPlansResponse {
  return { plans: PLANS.map(shownPlan) };
}

const shownPlan = (plan: PlanData): Plan => ({ ...plan, limits: { ...plan.limits } });

/** A smaller plan takes nothing away: what is there stays, and nothing is added beyond its limits. */
export function changePlan(
  parts: OrgParts,
  request: ChangePlanRequest,
  call: Call,
): Promise<ChangePlanResponse> {
  const plan = checkPlan(request.plan);
  return change(parts, 'changePlan', call, request.org, async (act) => {
    const { query, org } = act;
    act.about(org.id, { from: org.plan, to: plan });
    if (plan !== org.plan) {
      if (act.role !== OPERATOR) checkOrdered(parts, plan);
      await query('update orgs set plan = $2, version = version + 1 where id = $1', [org.id, plan]);
      await billingDue(query, org.id, act.nowMs);
      await act.tell('plan_changed', org.id, { from: org.plan, to: plan });
    }
    return { org: await shownOrg(query, org.id) };
  });
}

/** The whole set of what differs from the plan; a limit that is not named is the plan's again. */
export function setLimits(
  parts: OrgParts,
  request: SetLimitsRequest,
  call: Call,
): Promise<SetLimitsResponse> {
  const named = Object.entries(request.limits ?? {}).filter(([, value]) => value !== undefined);
  refuseViolations(
    'INVALID_LIMITS',
    named.map(([field, value]) =>
      Number.isInteger(value) && value >= -1
        ? undefined
        : { field: `limits.${field}`, description: 'must be a whole number, or -1 for no limit' },
    ),
  );
  const limits = named.length === 0 ? null : (Object.fromEntries(named) as Partial<Limits>);
  return change(parts, 'setLimits', call, request.org, async (act) => {
    const { query, org } = act;
    const said = limits === null ? null : JSON.stringify(limits);
    act.about(org.id, { limits: said ?? 'of the plan' });
    await query('update orgs set limits = $2, version = version + 1 where id = $1', [org.id, said]);
    await act.tell('limits_changed', org.id);
    return { limits: limitsInForce({ ...org, limits }, await memberCount(query, org.id)) };
  });
}

export function getUsage(parts: OrgParts, request: GetUsageRequest, call: Call): Promise<GetUsageResponse> {
  const days = request.days === 0 ? USAGE_DAYS.initial : Math.min(request.days, USAGE_DAYS.max);
  return look(parts, 'getUsage', call, request.org, async ({ query, org }) => ({
    days: await query<GetUsageResponse['days'][number]>(
      `select day, messages, bytes, agents, nodes from usage_days where org = $1 order by day desc limit $2`,
      [org.id, days],
    ),
  }));
}
