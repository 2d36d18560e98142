/** Ends what an org is billed for, at once: the first step of its deletion. */

import { FleetwireError } from '@fleetwire/kernel';
import { type BillingParts, lookUp } from './bill-org.ts';
import { type BilledOrg, readBilledOrg } from './due-orgs.ts';
import { liveOf } from './port.ts';
import type { Settle } from './store-outcome.ts';

/** One is the rule; more can only have been made by hand. */
const SUBSCRIPTIONS_MAX = 100;

/**
 * Resolves when the provider has no live subscription of that org; may be repeated at will, also for an org that is
 * unknown. Set the org's status before: a replica that is making a subscription at this very moment may end later, and
 * the upkeep, for which the org is due from here on, then ends that one as well. Rejects as calls of `Billing` do.
 */
export async function cancelNow(parts: BillingParts, settle: Settle, orgId: string): Promise<void> {
  const org = await readBilledOrg(parts.store, orgId);
  if (!org || parts.billing.kind === 'none') return;
  for (let ended = 0; ended <= SUBSCRIPTIONS_MAX; ended++) {
    const live = liveOf(await lookUp(parts.billing, org));
    if (live === undefined) {
      await settleCancelled(settle, org);
      return;
    }
    await parts.billing.cancelSubscription(live.id);
  }
  throw new FleetwireError('aborted', 'BILLING_BUSY', `there are always more subscriptions of ${orgId}`);
}

async function settleCancelled(settle: Settle, org: BilledOrg): Promise<void> {
  await settle(org.id, {
    token: undefined,
    seen: org,
    facts: {
      subscriptionId: org.subscriptionId,
      billedPlan: null,
      billedSeats: null,
      billingStatus: 'none',
    },
    acted: true,
    fallsToFree: false,
    failure: undefined,
  });
}
