/** The four plans as data, and what follows from them. */

import type { Limits } from '@fleetwire/gen/access';

export const PLAN_NAMES = ['free', 'pro', 'team', 'enterprise'] as const;
export type PlanName = (typeof PLAN_NAMES)[number];

/** What a plan bounds. */
export type LimitName = 'workspaces' | 'agents' | 'nodes' | 'members';

/** No limit. */
export const UNLIMITED = -1;

export interface Plan {
  readonly name: PlanName;
  /** US cents a user and month; 0: nothing, or as agreed with the operator. */
  readonly priceCents: number;
  /** Users that are billed at least; 0: nobody is billed. */
  readonly seatsMin: number;
  /** `UNLIMITED`: none. */
  readonly limits: Readonly<Limits>;
  /** Adds to `limits.agents` for every member. */
  readonly agentsPerMember: number;
  /** Policies of the level org. */
  readonly orgPolicies: boolean;
  /** Single sign-on can be had. */
  readonly ssoAddon: boolean;
  readonly support: 'community' | 'priority' | 'dedicated' | 'sla';
}

/**
 * From the cheapest to the dearest. Prices, workspaces, agents, nodes and support are the published tiers;
 * the numbers of members are a choice of this project. Enterprise is what was agreed on: its
 * price and limits are set for each org.
 */
export const PLANS: readonly Plan[] = [
  {
    name: 'free',
    priceCents: 0,
    seatsMin: 0,
    limits: { workspaces: 1, agents: 3, nodes: 1, members: 1 },
    agentsPerMember: 0,
    orgPolicies: false,
    ssoAddon: false,
    support: 'community',
  },
  {
    name: 'pro',
    priceCents: 2900,
    seatsMin: 1,
    limits: { workspaces: 5, agents: 20, nodes: 5, members: 5 },
    agentsPerMember: 0,
    orgPolicies: false,
    ssoAddon: false,
    support: 'priority',
  },
  {
    name: 'team',
    priceCents: 4900,
    seatsMin: 3,
    limits: { workspaces: UNLIMITED, agents: 0, nodes: UNLIMITED, members: UNLIMITED },
    agentsPerMember: 50,
    orgPolicies: true,
    ssoAddon: true,
    support: 'dedicated',
  },
  {
    name: 'enterprise',
    priceCents: 0,
    seatsMin: 1,
    limits: { workspaces: UNLIMITED, agents: UNLIMITED, nodes: UNLIMITED, members: UNLIMITED },
    agentsPerMember: 0,
    orgPolicies: true,
    ssoAddon: true,
    support: 'sla',
  },
];

/** Undefined: there is no such plan. */
export function planByName(name: string): Plan | undefined {
  return PLANS.find((plan) => plan.name === name);
}

/** In force for an org with so many members; what `overrides` sets counts instead. */
export function limitsOf(plan: Plan, members: number, overrides: Partial<Limits> = {}): Limits {
  const { agents } = plan.limits;
  const own = agents === UNLIMITED ? UNLIMITED : agents + plan.agentsPerMember * members;
  return { ...plan.limits, agents: own, ...overrides };
}

/** Users that are billed. */
export function seatsOf(plan: Plan, members: number): number {
  return plan.seatsMin === 0 ? 0 : Math.max(plan.seatsMin, members);
}

export interface LiftOptions {
  /** Name of the org's plan: only dearer ones lift anything. Missing or unknown: all count. */
  readonly above?: string;
  /** Default 1, the fewest there can be. */
  readonly members?: number;
}

/** The cheapest plan that has room for one more than `present`; undefined: none. */
export function planThatLifts(
  limit: LimitName,
  present: number,
  options: LiftOptions = {},
): Plan | undefined {
  const from = PLANS.findIndex((plan) => plan.name === options.above) + 1;
  return PLANS.slice(from).find((plan) => {
    const value = limitsOf(plan, options.members ?? 1)[limit];
    return value === UNLIMITED || value > present;
  });
}
