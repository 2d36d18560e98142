/** Brings one org's subscription in line with the org: looks, plans, acts, and says what came of it. Writes the customer only. */

import { randomUUID } from 'node:crypto';
import { planByName, seatsOf } from '@fleetwire/access';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { type BilledOrg, readBilledOrg, rememberCustomer } from './due-orgs.ts';
import { type BillableOrg, type BillingAction, planBilling, statusAfter, wishOf } from './plan-billing.ts';
import { type Billing, liveOf, type Subscription } from './port.ts';
import type { BillingFacts } from './store-outcome.ts';

export interface BillingParts {
  readonly store: Store;
  readonly billing: Billing;
}

export interface Billed {
  readonly facts: BillingFacts | undefined;
  readonly acted: boolean;
  readonly fallsToFree: boolean;
  readonly failure: FleetwireError | undefined;
}

/** Never rejects for what the provider does: a failure half way comes with what was learned before it. */
export async function billOrg(parts: BillingParts, org: BilledOrg): Promise<Billed> {
  const work = new Work(parts, org);
  try {
    await work.run();
  } catch (error) {
    work.failure = asFleetwireError(error);
  }
  return work.result();
}

/** The live one, wherever it is known from; else the one on record. */
export async function lookUp(
  billing: Billing,
  org: Pick<BilledOrg, 'id' | 'subscriptionId' | 'customerId'>,
): Promise<Subscription | undefined> {
  const { id, subscriptionId, customerId } = org;
  const recorded = subscriptionId === null ? undefined : await billing.readSubscription(subscriptionId);
  if (liveOf(recorded)) return recorded;
  return (customerId === null ? undefined : await billing.findSubscription(id, customerId)) ?? recorded;
}

/** Somebody else was at it meanwhile, at the provider or here. */
function busy(org: string): FleetwireError {
  return new FleetwireError('aborted', 'BILLING_BUSY', `the billing of ${org} was changed meanwhile`);
}

class Work {
  failure: FleetwireError | undefined;
  readonly #parts: BillingParts;
  readonly #org: BilledOrg;
  readonly #wished: BillableOrg;
  #customerId: string | null;
  #found: Subscription | undefined;
  #looked = false;
  #acted = false;
  #fell = false;

  constructor(parts: BillingParts, org: BilledOrg) {
    this.#parts = parts;
    this.#org = org;
    const plan = planByName(org.plan);
    this.#wished = { ...org, seats: plan ? seatsOf(plan, org.members) : 0 };
    this.#customerId = org.customerId;
  }

  async run(): Promise<void> {
    await this.#look();
    let plan = planBilling(this.#wished, this.#found);
    if (plan.actions.some((action) => action.kind === 'create') && (await this.#otherCustomer())) {
      // Perhaps one was made for that customer, and the process died before it was written down.
      await this.#look();
      plan = planBilling(this.#wished, this.#found);
    }
    this.#fell = plan.fallsToFree;
    for (const action of plan.actions) await this.#carryOut(action);
    const left = plan.fallsToFree ? [] : planBilling(this.#wished, this.#found).actions;
    if (left.length > 0) throw busy(this.#org.id);
  }

  result(): Billed {
    const { failure } = this;
    const facts = this.#looked ? this.#facts() : undefined;
    return { facts, acted: this.#acted, fallsToFree: this.#fell, failure };
  }

  async #look(): Promise<void> {
    this.#found = await lookUp(this.#parts.billing, { ...this.#org, customerId: this.#customerId });
    this.#looked = true;
  }

  /** True when the customer is another than the one on record. */
  async #otherCustomer(): Promise<boolean> {
    const { store, billing } = this.#parts;
    const { id, name, email, customerId } = this.#org;
    const idempotencyKey = `fleetwire-customer-${id}-${customerId ?? 'first'}-${this.#org.billingFailures}`;
    this.#customerId = await billing.ensureCustomer({ org: id, name, email, customerId, idempotencyKey });
    if (this.#customerId === customerId) return false;
    if (!(await rememberCustomer(store, this.#org, this.#customerId))) throw busy(id);
    return true;
  }

  async #carryOut(action: BillingAction): Promise<void> {
    const { billing } = this.#parts;
    if (action.kind === 'create') {
      if (!(await this.#stillWished())) return;
      this.#acted = true;
      this.#found = await billing.createSubscription({
        ...action,
        org: this.#org.id,
        customerId: this.#customerId!,
        idempotencyKey: this.#creationKey(),
      });
      return;
    }
    this.#acted = true;
    // Says where things shall be, not by how much, so that a second time does no harm; a key that was there before would.
    if (action.kind === 'change')
      this.#found = await billing.changeSubscription({ ...action, idempotencyKey: randomUUID() });
    else {
      await billing.cancelSubscription(action.subscriptionId);
      this.#found = await billing.readSubscription(action.subscriptionId);
    }
  }

  /**
   * The same until the provider has answered, so that no two are made, whoever asks; another after each answer that was
   * a failure, since that would be repeated; and another once there was a subscription, for the next one.
   */
  #creationKey(): string {
    const { id, subscriptionId, billingFailures } = this.#org;
    const last = this.#found?.id ?? subscriptionId ?? 'first';
    return `fleetwire-subscription-${id}-${last}-${billingFailures}`;
  }

  /** An org that was closed a moment ago gets no subscription that would have to be cancelled. */
  async #stillWished(): Promise<boolean> {
    const now = await readBilledOrg(this.#parts.store, this.#org.id);
    return now !== undefined && wishOf({ ...now, seats: 1 })?.plan === this.#org.plan;
  }

  #facts(): BillingFacts {
    const found = this.#found;
    const live = liveOf(found);
    const status = statusAfter(this.#wished, found, this.#fell);
    return {
      // That of one which is over is kept: the key of the next one is made of it.
      subscriptionId: found?.id ?? this.#org.subscriptionId,
      billedPlan: live ? (live.plan ?? this.#org.billedPlan) : null,
      billedSeats: live?.seats ?? null,
      billingStatus: this.failure === undefined ? status : this.#statusDespiteFailure(status),
    };
  }

  #statusDespiteFailure(status: string): string {
    if (this.failure?.details['declined'] !== undefined) return 'past_due';
    const wished = wishOf(this.#wished) !== undefined;
    return wished && (status === 'none' || status === 'cancelled') ? 'pending' : status;
  }
}
