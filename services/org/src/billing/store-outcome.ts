/** Writes what came of billing an org into its row, without undoing what others wrote meanwhile. */

import { type Clock, nowMs } from '@fleetwire/kernel';
import type { Store, StoreTransaction } from '@fleetwire/store';

/** What is on record of a subscription. */
export interface BillingFacts {
  readonly subscriptionId: string | null;
  readonly billedPlan: string | null;
  readonly billedSeats: number | null;
  readonly billingStatus: string;
}

export interface BillingOutcome {
  /** The claim that this was done under; undefined: none. */
  readonly token: number | undefined;
  /** What the decision went by. */
  readonly seen: { readonly plan: string; readonly subscriptionId: string | null };
  /** Undefined: nothing was learned. */
  readonly facts: BillingFacts | undefined;
  /** Something was changed at the provider. */
  readonly acted: boolean;
  /** The org is `free` from now on. */
  readonly fallsToFree: boolean;
  readonly failure: { readonly answered: boolean; readonly retryAtMs: number } | undefined;
}

/** What others may want to know of it. */
export interface BillingChange {
  readonly org: string;
  readonly planFrom: string;
  readonly planTo: string;
  readonly statusFrom: string;
  readonly statusTo: string;
}

/** Writes an outcome; whoever wraps it adds audit entries and events in the same transaction. */
export type Settle = (org: string, outcome: BillingOutcome) => Promise<void>;

interface Row extends BillingFacts {
  readonly plan: string;
  readonly due: number | null;
  readonly billingFailures: number;
}

/**
 * Locks the org's row. Facts are written when the row still names the subscription that was looked at, the plan only when
 * it is still the one that was billed. What was set due meanwhile stays due; what was changed at the provider while
 * somebody else was at it is looked at again. The change, when plan or status became another; `version` then grows.
 */
export async function writeOutcome(
  tx: StoreTransaction,
  org: string,
  outcome: BillingOutcome,
  nowMs: number,
): Promise<BillingChange | undefined> {
  const rows = await tx.query<Row>(
    `select plan, billing_due_at_ms as due, subscription_id as "subscriptionId", billed_plan as "billedPlan",
       billed_seats as "billedSeats", billing_status as "billingStatus", billing_failures as "billingFailures"
       from orgs where id = $1 for update`,
    [org],
  );
  const row = rows[0];
  if (!row) return undefined;
  const { seen } = outcome;
  const current =
    row.subscriptionId === seen.subscriptionId && (!outcome.fallsToFree || row.plan === seen.plan);
  const facts = current ? outcome.facts : undefined;
  const planTo = current && outcome.fallsToFree ? 'free' : row.plan;
  const kept: BillingFacts = facts ?? row;
  const statusTo = kept.billingStatus;
  const changed = planTo !== row.plan || statusTo !== row.billingStatus;
  await tx.query(
    `update orgs set plan = $2, subscription_id = $3, billed_plan = $4, billed_seats = $5, billing_status = $6,
       billing_due_at_ms = $7, billing_failures = $8, version = version + $9 where id = $1`,
    [
      org,
      planTo,
      kept.subscriptionId,
      kept.billedPlan,
      kept.billedSeats,
      statusTo,
      dueAfter(row, outcome, current, nowMs),
      failuresAfter(row, outcome, facts),
      changed ? 1 : 0,
    ],
  );
  if (!changed) return undefined;
  return { org, planFrom: row.plan, planTo, statusFrom: row.billingStatus, statusTo };
}

/** `told` runs in the transaction. */
export function storeOutcome(
  store: Store,
  clock: Clock,
  told: (tx: StoreTransaction, change: BillingChange) => Promise<void> = () => Promise.resolve(),
): Settle {
  return (org, outcome) =>
    store.transaction(async (tx) => {
      const change = await writeOutcome(tx, org, outcome, nowMs(clock));
      if (change) await told(tx, change);
    });
}

function dueAfter(row: Row, outcome: BillingOutcome, current: boolean, nowMs: number): number | null {
  const { token, failure, acted } = outcome;
  if (token !== undefined && row.due === token) {
    if (failure) return failure.retryAtMs;
    return current ? null : nowMs;
  }
  // Somebody else may be at it with another wish, and of two calls the later one wins there, not the later wish.
  return acted ? Math.min(row.due ?? nowMs, nowMs) : row.due;
}

/**
 * Counts answers that were failures. It goes into the key under which a subscription is made, so it is not reset before
 * there is one: Stripe repeats its answer to a key for a day, also that a card was declined.
 */
function failuresAfter(row: Row, outcome: BillingOutcome, facts: BillingFacts | undefined): number {
  if (outcome.failure) return row.billingFailures + (outcome.failure.answered ? 1 : 0);
  return facts !== undefined && facts.billedPlan !== null ? 0 : row.billingFailures;
}
