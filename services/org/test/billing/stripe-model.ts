/** What Stripe holds, and how its calls change it; refusals as Stripe words them. */

import type { Form } from './stripe-form.ts';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Customer {
  readonly id: string;
  readonly object: 'customer';
  readonly created: number;
  name: string | null;
  email: string | null;
  metadata: Record<string, string>;
  deleted?: boolean;
}

export interface Item {
  readonly id: string;
  price: { readonly id: string };
  quantity: number;
}

export interface Sub {
  readonly id: string;
  readonly object: 'subscription';
  readonly created: number;
  readonly customer: string;
  status: string;
  metadata: Record<string, string>;
  collection_method: string;
  days_until_due: number | null;
  cancellation_details: { comment: string | null; reason: string | null };
  items: { readonly object: 'list'; data: Item[] };
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'invalid_request_error',
  402: 'card_error',
  429: 'rate_limit_error',
};

export function refusal(status: number, code: string): Answer {
  const type =
    code === 'idempotency_error'
      ? code
      : (TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error'));
  const message = status === 401 ? 'Invalid API Key provided: sk_test_****4f9a' : `${code} (by the double)`;
  const declined = status === 402 ? { decline_code: 'insufficient_funds' } : {};
  return { status, body: { error: { type, code, message, ...declined } } };
}

const ok = (body: unknown): Answer => ({ status: 200, body: structuredClone(body) });
const missing = () => refusal(404, 'resource_missing');
const isOf = (org: string) => (each: Sub | Customer) => each.metadata['fleetwire_org'] === org;
const OVER = ['canceled', 'incomplete_expired'];

export class StripeModel {
  readonly customers: Customer[] = [];
  readonly subscriptions: Sub[] = [];
  /** The search sees what is older than a minute or so; false: not yet. */
  searchable = true;
  /** The card of everybody: charged at creation unless an invoice is sent. */
  card: 'good' | 'declined' | 'none' = 'good';
  #count = 0;

  get live(): Sub[] {
    return this.subscriptions.filter((sub) => !OVER.includes(sub.status));
  }

  /** What there is of an org, in the order of creation; `liveOf`: what is not over. */
  subscriptionsOf(org: string): Sub[] {
    return this.subscriptions.filter(isOf(org));
  }

  liveOf(org: string): Sub[] {
    return this.live.filter(isOf(org));
  }

  customersOf(org: string): Customer[] {
    return this.customers.filter(isOf(org));
  }

  createCustomer(form: Form): Answer {
    const customer: Customer = {
      ...this.#fresh('cus'),
      object: 'customer',
      name: null,
      email: null,
      metadata: (form['metadata'] ?? {}) as Record<string, string>,
    };
    this.customers.push(customer);
    return this.updateCustomer(customer.id, form);
  }

  updateCustomer(id: string, form: Form): Answer {
    const customer = this.customers.find((each) => each.id === id && !each.deleted);
    if (!customer) return missing();
    for (const field of ['name', 'email'] as const) {
      const value = form[field];
      if (typeof value === 'string') customer[field] = value;
    }
    return ok(customer);
  }

  readCustomer(id: string): Answer {
    const customer = this.customers.find((each) => each.id === id);
    return customer ? ok(customer) : missing();
  }

  searchCustomers(query: string): Answer {
    const match = /^metadata\['(\w+)'\]:'(\w+)'$/.exec(query);
    if (!match) return refusal(400, 'parameter_invalid');
    const data = this.customers.filter((each) => !each.deleted && each.metadata[match[1]!] === match[2]);
    return ok({ object: 'search_result', data: this.searchable ? data : [], has_more: false });
  }

  createSubscription(form: Form): Answer {
    const customer = this.customers.find((each) => each.id === form['customer'] && !each.deleted);
    if (!customer) return missing();
    const charged = form['collection_method'] !== 'send_invoice';
    if (charged && this.card === 'none') return refusal(400, 'resource_missing_payment_method');
    if (charged && this.card === 'declined') return refusal(402, 'card_declined');
    const sub: Sub = {
      ...this.#fresh('sub'),
      object: 'subscription',
      customer: customer.id,
      status: 'active',
      metadata: (form['metadata'] ?? {}) as Record<string, string>,
      collection_method: charged ? 'charge_automatically' : 'send_invoice',
      days_until_due: charged ? null : Number(form['days_until_due']),
      cancellation_details: { comment: null, reason: null },
      items: { object: 'list', data: [] },
    };
    this.#putItems(sub, form);
    this.subscriptions.push(sub);
    return ok(sub);
  }

  updateSubscription(id: string, form: Form): Answer {
    const sub = this.subscriptions.find((each) => each.id === id);
    if (!sub) return missing();
    if (OVER.includes(sub.status)) return missing();
    if (sub.status === 'incomplete') return refusal(400, 'subscription_incomplete');
    if (!this.#putItems(sub, form)) return missing();
    return ok(sub);
  }

  readSubscription(id: string): Answer {
    const sub = this.subscriptions.find((each) => each.id === id);
    return sub ? ok(sub) : missing();
  }

  listSubscriptions(customer: string): Answer {
    const known = this.customers.some((each) => each.id === customer);
    if (!known) return missing();
    const data = this.subscriptions.filter(
      (each) => each.customer === customer && each.status !== 'canceled',
    );
    return ok({ object: 'list', data, has_more: false });
  }

  cancelSubscription(id: string, form: Form): Answer {
    const sub = this.subscriptions.find((each) => each.id === id);
    if (!sub || OVER.includes(sub.status)) return missing();
    const details = form['cancellation_details'] as Form | undefined;
    sub.status = 'canceled';
    sub.cancellation_details = {
      comment: typeof details?.['comment'] === 'string' ? details['comment'] : null,
      reason: 'cancellation_requested',
    };
    return ok(sub);
  }

  /** In the dashboard, or because nobody pays. */
  endThere(id: string, status = 'canceled'): void {
    const sub = this.subscriptions.find((each) => each.id === id)!;
    sub.status = status;
    sub.cancellation_details = { comment: null, reason: 'payment_failed' };
  }

  /** An item without id is one more. */
  #putItems(sub: Sub, form: Form): boolean {
    for (const wanted of (form['items'] ?? []) as Form[]) {
      const item = sub.items.data.find((each) => each.id === wanted['id']);
      if (wanted['id'] !== undefined && !item) return false;
      const price = { id: String(wanted['price']) };
      const quantity = Number(wanted['quantity']);
      if (item) Object.assign(item, { price, quantity });
      else sub.items.data.push({ id: this.#fresh('si').id, price, quantity });
    }
    return true;
  }

  #fresh(prefix: string): { id: string; created: number } {
    this.#count++;
    return { id: `${prefix}_${this.#count}`, created: this.#count };
  }
}
