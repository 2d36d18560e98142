/** Finds the orgs whose billing is due, and takes them so that of several replicas one works on each. */

import type { Store } from '@fleetwire/store';
import type { BillableOrg } from './plan-billing.ts';

/** What billing has to know of an org. */
export interface BilledOrg extends Omit<BillableOrg, 'seats'> {
  readonly id: string;
  readonly name: string;
  /** The owner's; empty when there is none any more. */
  readonly email: string;
  readonly members: number;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  readonly billingFailures: number;
}

export interface Claim {
  readonly org: string;
  /** What the claim has put into `billing_due_at_ms`. As long as it stands there, nobody has wished anything new. */
  readonly token: number;
}

/**
 * Takes the org that has waited longest, until `token`: should this process die, the org is due again then. Undefined:
 * none is due. No lock is held afterwards; who sets the org due meanwhile does so over the claim.
 */
export async function claimDueOrg(store: Store, nowMs: number, token: number): Promise<Claim | undefined> {
  const rows = await store.query<{ id: string }>(
    `with due as (
       select id from orgs where billing_due_at_ms <= $1
       order by billing_due_at_ms limit 1 for update skip locked)
     update orgs set billing_due_at_ms = $2 from due where orgs.id = due.id returning orgs.id`,
    [nowMs, token],
  );
  return rows[0] && { org: rows[0].id, token };
}

/** Read after the claim, in a statement of its own: what was committed before the claim is then seen for sure. */
export async function readBilledOrg(store: Store, org: string): Promise<BilledOrg | undefined> {
  const rows = await store.query<BilledOrg>(
    `select id, name, status, plan, customer_id as "customerId", subscription_id as "subscriptionId",
       billed_plan as "billedPlan", billing_status as "billingStatus", billing_failures as "billingFailures",
       (select count(*) from memberships m where m.org = orgs.id) as members,
       coalesce((select u.email from memberships m join users u on u.id = m.user_id
         where m.org = orgs.id and m.role = 'owner'), '') as email
     from orgs where id = $1`,
    [org],
  );
  return rows[0];
}

/**
 * Kept as soon as it is known, so that what is made for this customer can be found again. False: another one was
 * recorded meanwhile.
 */
export async function rememberCustomer(store: Store, org: BilledOrg, customerId: string): Promise<boolean> {
  const rows = await store.query(
    `update orgs set customer_id = $2
     where id = $1 and (customer_id = $2 or customer_id is not distinct from $3::text) returning id`,
    [org.id, customerId, org.customerId],
  );
  return rows.length === 1;
}

/** Forgets webhook events that were taken before that moment. */
export async function forgetEvents(store: Store, beforeMs: number): Promise<void> {
  await store.query('delete from billing_events where received_at_ms < $1', [beforeMs]);
}
