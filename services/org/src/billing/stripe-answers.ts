/** Reads what Stripe answers: its errors as ours, its subscriptions as the port's. */

import { FleetwireError } from '@fleetwire/kernel';
import Stripe from 'stripe';
import type { PaidPlan, Subscription, SubscriptionStatus } from './port.ts';

/** Price ids of the plans. */
export type Prices = Readonly<Record<PaidPlan, string>>;

/** Written to a cancellation of ours: tells it apart from one that was made in the dashboard, or for want of payment. */
export const ENDED_BY_US = 'ended by fleetwire';
/** Key of the metadata of customers and subscriptions. */
export const ORG_KEY = 'fleetwire_org';

/** https://docs.stripe.com/api/subscriptions/object#subscription_object-status; what is not listed counts as a late payment. */
const STATUS: Readonly<Record<string, SubscriptionStatus>> = {
  incomplete: 'pending',
  trialing: 'active',
  active: 'active',
  past_due: 'past_due',
  unpaid: 'past_due',
  paused: 'past_due',
  incomplete_expired: 'cancelled',
  canceled: 'cancelled',
};

/** For good: nothing can be changed or cancelled any more. */
export const isOver = (answer: Stripe.Subscription): boolean => STATUS[answer.status] === 'cancelled';

export function subscriptionOf(answer: Stripe.Subscription, prices: Prices): Subscription {
  const item = planItem(answer, prices);
  const status = STATUS[answer.status] ?? 'past_due';
  return {
    id: answer.id,
    status,
    plan: item && planOfPrice(item.price.id, prices),
    seats: item?.quantity ?? 0,
    endedByUs: status === 'cancelled' && answer.cancellation_details?.comment === ENDED_BY_US,
  };
}

/** The item that stands for the plan: others may have been added in the dashboard. One alone is it, whatever its price. */
export function planItem(answer: Stripe.Subscription, prices: Prices): Stripe.SubscriptionItem | undefined {
  const items = answer.items.data;
  const ours = items.find((item) => planOfPrice(item.price.id, prices) !== undefined);
  return ours ?? (items.length === 1 ? items[0] : undefined);
}

function planOfPrice(price: string, prices: Prices): PaidPlan | undefined {
  return (Object.keys(prices) as PaidPlan[]).find((plan) => prices[plan] === price);
}

export function idOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const id = (value as { id?: unknown } | null | undefined)?.id;
  return typeof id === 'string' ? id : undefined;
}

/** Stripe has nothing of that id. */
export function isMissing(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeError && error.code === 'resource_missing';
}

/** As of `Billing`. The original is not kept as the cause: it holds headers and texts that may show part of the key. */
export function asBillingError(thrown: unknown): unknown {
  if (!(thrown instanceof Stripe.errors.StripeError)) return thrown;
  const { statusCode: status, type } = thrown;
  if (status === undefined) return noAnswer(thrown);
  const code = thrown.code ?? type;
  const details = {
    status: String(status),
    code,
    ...(thrown.requestId ? { request: thrown.requestId } : {}),
  };
  // Whoever holds the key has not ended: nothing was answered.
  if (status === 409) return busy({ code });
  if (thrown instanceof Stripe.errors.StripeIdempotencyError) return busy(details);
  if (status === 429 || status >= 500)
    return new FleetwireError('unavailable', 'BILLING_AWAY', `Stripe answered with ${status}`, { details });
  return refused(thrown, details);
}

function noAnswer(error: InstanceType<typeof Stripe.errors.StripeError>): FleetwireError {
  const code = (error.detail as { code?: unknown } | undefined)?.code;
  return new FleetwireError('unavailable', 'BILLING_AWAY', 'Stripe did not answer', {
    details: typeof code === 'string' ? { code } : {},
  });
}

function busy(details: Readonly<Record<string, string>>): FleetwireError {
  const said = 'another call with the same idempotency key is or was there';
  return new FleetwireError('aborted', 'BILLING_BUSY', said, { details });
}

function refused(
  error: InstanceType<typeof Stripe.errors.StripeError>,
  details: Readonly<Record<string, string>>,
): FleetwireError {
  if (error.statusCode === 401 || error.statusCode === 403)
    return new FleetwireError('failed_precondition', 'BILLING_REFUSED', 'Stripe refuses the key', {
      help: 'Check FLEETWIRE_ORG_STRIPE_SECRET_KEY and the rights of that key.',
      details,
    });
  const declined = error.statusCode === 402;
  return new FleetwireError('failed_precondition', 'BILLING_REFUSED', `Stripe refused: ${error.message}`, {
    help: declined
      ? 'Give the customer another means of payment in Stripe.'
      : 'Look the request up in the log of Stripe’s dashboard.',
    details: declined ? { ...details, declined: error.decline_code ?? 'yes' } : details,
  });
}
