/** Billing by Stripe, on its official library: a customer and at most one live subscription for each org. */

import Stripe from 'stripe';
import type { Billing, CustomerFacts, NewSubscription, Subscription, SubscriptionChange } from './port.ts';
import {
  asBillingError,
  ENDED_BY_US,
  isMissing,
  isOver,
  ORG_KEY,
  type Prices,
  planItem,
  subscriptionOf,
} from './stripe-answers.ts';
import { readStripeEvent } from './stripe-events.ts';

export interface StripeOptions {
  readonly secretKey: string;
  readonly webhookSecret: string;
  readonly prices: Prices;
  /** Scheme, host and port of the API; a path is not used. */
  readonly apiUrl: string;
  /** Days that an invoice sent by e-mail may wait; 0: the card on file is charged. */
  readonly invoiceDays: number;
  readonly timeoutMs: number;
  /** Repetitions of one call, under the same idempotency key. */
  readonly retries: number;
}

/** Subscriptions of one customer that are looked through; more than one is a stranger's work. */
const LISTED = 100;

export function stripeBilling(options: StripeOptions): Billing {
  const stripe = clientOf(options);
  const { prices } = options;
  const asked = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw asBillingError(error);
    }
  };
  return {
    kind: 'stripe',
    ensureCustomer: (facts) => asked(() => ensureCustomer(stripe, facts)),
    createSubscription: (wish) => asked(() => create(stripe, options, wish)),
    changeSubscription: (change) => asked(() => changeTo(stripe, prices, change)),
    cancelSubscription: (id) => asked(() => cancel(stripe, id)),
    readSubscription: (id) => asked(() => read(stripe, prices, id)),
    findSubscription: (org, customerId) => asked(() => find(stripe, prices, org, customerId)),
    readEvent: (rawBody, signature, nowMs) =>
      readStripeEvent(stripe, options.webhookSecret, { rawBody, signature, nowMs }),
  };
}

function clientOf(options: StripeOptions): Stripe {
  const url = new URL(options.apiUrl);
  const protocol = url.protocol === 'http:' ? 'http' : 'https';
  return new Stripe(options.secretKey, {
    apiVersion: Stripe.API_VERSION,
    protocol,
    host: url.hostname,
    port: url.port === '' ? (protocol === 'http' ? 80 : 443) : Number(url.port),
    maxNetworkRetries: options.retries,
    timeout: options.timeoutMs,
    telemetry: false,
  });
}

/**
 * The body of the creation is the same for ever, so that its idempotency key fits whatever the org is called by then.
 * After a day the key is forgotten and the search finds what was made; the search alone would miss the last minute.
 */
async function ensureCustomer(stripe: Stripe, facts: CustomerFacts): Promise<string> {
  const { org, name, email } = facts;
  const known = (await customerOnRecord(stripe, facts.customerId)) ?? (await customerOfOrg(stripe, org));
  const { idempotencyKey } = facts;
  const customer =
    known ?? (await stripe.customers.create({ metadata: { [ORG_KEY]: org } }, { idempotencyKey }));
  if (customer.name !== name || (email !== '' && customer.email !== email))
    await stripe.customers.update(customer.id, { name, ...(email === '' ? {} : { email }) });
  return customer.id;
}

async function customerOnRecord(stripe: Stripe, id: string | null): Promise<Stripe.Customer | undefined> {
  if (id === null) return undefined;
  const customer = await unlessMissing(stripe.customers.retrieve(id));
  return customer === undefined || customer.deleted === true ? undefined : customer;
}

async function customerOfOrg(stripe: Stripe, org: string): Promise<Stripe.Customer | undefined> {
  const { data } = await stripe.customers.search({ query: `metadata['${ORG_KEY}']:'${org}'`, limit: LISTED });
  return data.toSorted((a, b) => a.created - b.created)[0];
}

async function create(stripe: Stripe, options: StripeOptions, wish: NewSubscription): Promise<Subscription> {
  const { invoiceDays, prices } = options;
  const made = await stripe.subscriptions.create(
    {
      customer: wish.customerId,
      items: [{ price: prices[wish.plan], quantity: wish.seats }],
      metadata: { [ORG_KEY]: wish.org },
      ...(invoiceDays === 0 ? {} : { collection_method: 'send_invoice', days_until_due: invoiceDays }),
    },
    { idempotencyKey: wish.idempotencyKey },
  );
  // An answer that is repeated under the key tells of the moment of the first: ask how things are now.
  return (await read(stripe, prices, made.id)) ?? subscriptionOf(made, prices);
}

async function changeTo(stripe: Stripe, prices: Prices, change: SubscriptionChange): Promise<Subscription> {
  const { subscriptionId, plan, seats, idempotencyKey } = change;
  const item = planItem(await stripe.subscriptions.retrieve(subscriptionId), prices);
  // Without one of ours an item is added: what somebody else put there is left alone.
  const wanted = { ...(item ? { id: item.id } : {}), price: prices[plan], quantity: seats };
  const params = { items: [wanted] };
  return subscriptionOf(
    await stripe.subscriptions.update(subscriptionId, params, { idempotencyKey }),
    prices,
  );
}

async function cancel(stripe: Stripe, id: string): Promise<void> {
  const before = await unlessMissing(stripe.subscriptions.retrieve(id));
  if (before === undefined || isOver(before)) return;
  await unlessMissing(stripe.subscriptions.cancel(id, { cancellation_details: { comment: ENDED_BY_US } }));
}

async function read(stripe: Stripe, prices: Prices, id: string): Promise<Subscription | undefined> {
  const answer = await unlessMissing(stripe.subscriptions.retrieve(id));
  return answer && subscriptionOf(answer, prices);
}

/** Stripe leaves those that are cancelled out of the list. */
async function find(
  stripe: Stripe,
  prices: Prices,
  org: string,
  customer: string,
): Promise<Subscription | undefined> {
  const listed = await unlessMissing(stripe.subscriptions.list({ customer, limit: LISTED }));
  const own = (listed?.data ?? []).filter((each) => each.metadata[ORG_KEY] === org);
  const live = own.filter((each) => !isOver(each));
  const oldest = live.toSorted((a, b) => a.created - b.created)[0];
  return oldest && subscriptionOf(oldest, prices);
}

async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
