/** What org needs of a billing provider: customers, one subscription for each org, and signed events that something changed. */

/** Plans that are paid by the seat; the others have no subscription. */
export const PAID_PLANS = ['pro', 'team'] as const;
export type PaidPlan = (typeof PAID_PLANS)[number];

export function isPaidPlan(plan: string): plan is PaidPlan {
  return (PAID_PLANS as readonly string[]).includes(plan);
}

/**
 * `pending`: the first payment is still to come, and nothing can be changed until then; `past_due`: a payment is late,
 * the subscription goes on; `cancelled`: over for good, it cannot be revived.
 */
export type SubscriptionStatus = 'pending' | 'active' | 'past_due' | 'cancelled';

export interface Subscription {
  readonly id: string;
  readonly status: SubscriptionStatus;
  /** Undefined: its price is none that we know. */
  readonly plan: PaidPlan | undefined;
  readonly seats: number;
  /** A cancelled one only: it was `cancelSubscription` that ended it, and nobody at the provider. */
  readonly endedByUs: boolean;
}

/** It, unless it is over. */
export const liveOf = (found: Subscription | undefined): Subscription | undefined =>
  found?.status === 'cancelled' ? undefined : found;

export interface CustomerFacts {
  readonly org: string;
  readonly name: string;
  /** Of the owner: where the provider sends invoices. Empty: none is known. */
  readonly email: string;
  /** The customer that is on record; another is given back when the provider has none of that id any more. */
  readonly customerId: string | null;
  readonly idempotencyKey: string;
}

export interface NewSubscription {
  readonly org: string;
  readonly customerId: string;
  readonly plan: PaidPlan;
  readonly seats: number;
  readonly idempotencyKey: string;
}

export interface SubscriptionChange {
  readonly subscriptionId: string;
  readonly plan: PaidPlan;
  readonly seats: number;
  readonly idempotencyKey: string;
}

/** What a verified event is about; what it says of the subscription is not looked at, since events come in any order. */
export interface ProviderEvent {
  readonly id: string;
  readonly type: string;
  readonly createdMs: number;
  readonly customerId: string | undefined;
  readonly subscriptionId: string | undefined;
  /** The org that the subscription was made for, as its metadata says. */
  readonly org: string | undefined;
}

/**
 * Calls reject with
 * - unavailable BILLING_AWAY: the same call may work later. With `details.status` the provider has answered (429, 5xx);
 *   without, nobody knows whether it was done, and it must be repeated under the same idempotency key;
 * - failed_precondition BILLING_REFUSED: `details.code` says why, `details.declined` is there when it was the card;
 * - aborted BILLING_BUSY: the idempotency key is at work, or was used with other values (then with `details.status`).
 */
export interface Billing {
  readonly kind: 'none' | 'stripe';
  /** The id of the org's customer, made when there is none; name and e-mail are brought up to date. Safe to repeat. */
  ensureCustomer(facts: CustomerFacts): Promise<string>;
  /** Makes one. Look with `findSubscription` before: idempotency keys are remembered for a day only. */
  createSubscription(wish: NewSubscription): Promise<Subscription>;
  /** Prorated as the provider does by default. Refused for a subscription that is pending or cancelled. */
  changeSubscription(change: SubscriptionChange): Promise<Subscription>;
  /** At once. Fine when it is over already, or unknown there. */
  cancelSubscription(subscriptionId: string): Promise<void>;
  /** Undefined: the provider knows none of that id. */
  readSubscription(subscriptionId: string): Promise<Subscription | undefined>;
  /** The one of that org that is not over; of several the oldest. */
  findSubscription(org: string, customerId: string): Promise<Subscription | undefined>;
  /**
   * Throws unauthenticated WEBHOOK_SIGNATURE_INVALID or WEBHOOK_TOO_OLD (made more than 300 s before `nowMs`),
   * invalid_argument WEBHOOK_INVALID when what was signed is no event.
   */
  readEvent(rawBody: Buffer, signature: string, nowMs: number): ProviderEvent;
}
