/** Decides what to do at the billing provider: pure, from the org as it should be billed and the subscription as it is. */

import { isPaidPlan, liveOf, type PaidPlan, type Subscription } from './port.ts';

export interface BillableOrg {
  /** active, deleting or deleted. */
  readonly status: string;
  readonly plan: string;
  /** Of the plan with the members of now, minimum included; at least 1 for a paid plan. */
  readonly seats: number;
  /** Not null: a subscription is believed to be live. */
  readonly billedPlan: string | null;
  readonly billingStatus: string;
}

export type BillingAction =
  | { readonly kind: 'create'; readonly plan: PaidPlan; readonly seats: number }
  | {
      readonly kind: 'change';
      readonly subscriptionId: string;
      readonly plan: PaidPlan;
      readonly seats: number;
    }
  | { readonly kind: 'cancel'; readonly subscriptionId: string };

export interface BillingPlan {
  /** To be done in this order. */
  readonly actions: readonly BillingAction[];
  /** The subscription was ended at the provider and not by us: the org goes on as `free`. */
  readonly fallsToFree: boolean;
}

/** What is to be billed; undefined: nothing. Free costs nothing, enterprise is a contract, and a closed org pays no more. */
export function wishOf(org: BillableOrg): { readonly plan: PaidPlan; readonly seats: number } | undefined {
  if (org.status !== 'active' || !isPaidPlan(org.plan)) return undefined;
  return { plan: org.plan, seats: org.seats };
}

/** `found`: the org's live subscription, else the one on record. Carrying the plan out leaves nothing to plan. */
export function planBilling(org: BillableOrg, found: Subscription | undefined): BillingPlan {
  const wish = wishOf(org);
  const live = liveOf(found);
  if (!wish) return only(live ? [{ kind: 'cancel', subscriptionId: live.id }] : []);
  if (!live) {
    const endedThere = found !== undefined && !found.endedByUs && org.billedPlan !== null;
    return endedThere ? { actions: [], fallsToFree: true } : only([{ kind: 'create', ...wish }]);
  }
  if (live.plan === wish.plan && live.seats === wish.seats) return only([]);
  // One whose first payment is still to come cannot be changed, only replaced.
  if (live.status === 'pending')
    return only([
      { kind: 'cancel', subscriptionId: live.id },
      { kind: 'create', ...wish },
    ]);
  return only([{ kind: 'change', subscriptionId: live.id, ...wish }]);
}

/** What the org's `billingStatus` is once the plan was carried out and the provider has `found`. */
export function statusAfter(org: BillableOrg, found: Subscription | undefined, fell: boolean): string {
  if (fell) return 'cancelled';
  const live = liveOf(found);
  if (live) return live.status;
  // That the provider ended it stays visible until there is another one.
  return org.billingStatus === 'cancelled' ? 'cancelled' : 'none';
}

const only = (actions: readonly BillingAction[]): BillingPlan => ({ actions, fallsToFree: false });
