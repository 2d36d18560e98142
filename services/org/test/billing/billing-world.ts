/** A double of Stripe, the real library, a real PostgreSQL with the schema of org, and any number of upkeeps on them. */

import { type Clock, newId, nowMs, systemClock } from '@fleetwire/kernel';
import { openStore, type Store } from '@fleetwire/store';
import { silentLog as log, startTestPostgres } from '@fleetwire/testkit';
import { type BillingConfig, createBilling, upkeepLimits } from '../../src/billing/billing-keys.ts';
import type { Billing } from '../../src/billing/port.ts';
import { type BillingChange, storeOutcome } from '../../src/billing/store-outcome.ts';
import { BillingUpkeep, type UpkeepOptions } from '../../src/billing/upkeep.ts';
import { Org, type OrgRow } from '../../src/store/entities.ts';
import { OWN_SCHEMA } from '../own-schema.ts';
import { SECRET_KEY, StripeDouble } from './stripe-double.ts';
import type { Customer, Sub } from './stripe-model.ts';

export const WEBHOOK_SECRET = 'whsec_double_0b1d';
export const PRICES = { pro: 'price_pro', team: 'price_team' } as const;

export interface BillingWorld extends AsyncDisposable {
  readonly store: Store;
  readonly stripe: StripeDouble;
  readonly billing: Billing;
  /** Plans and statuses that became others, as they were told. */
  readonly told: BillingChange[];
  readonly clock: Clock;
  /** Lets `ms` pass for the upkeep. */
  advance(ms: number): void;
  nowMs(): number;
  /** One more replica; not started. */
  upkeep(more?: Partial<UpkeepOptions>): BillingUpkeep;
  /** With an owner and `members` - 1 others, due at once. */
  org(plan: string, members?: number): Promise<string>;
  /** The same, and one replica has billed all that was due. */
  billed(plan: string, members?: number): Promise<string>;
  setMembers(org: string, members: number): Promise<void>;
  /** As a change by a member would. */
  setPlan(org: string, plan: string, status?: string): Promise<void>;
  row(org: string): Promise<OrgRow>;
  /** What Stripe has of that org, in the order of creation; `liveOf`: what is not over. */
  subsOf(org: string): Sub[];
  liveOf(org: string): Sub[];
  customersOf(org: string): Customer[];
}

export function testConfig(apiUrl: string, more: Partial<BillingConfig> = {}): BillingConfig {
  return {
    billing: 'stripe',
    stripe_secret_key: SECRET_KEY,
    stripe_webhook_secret: WEBHOOK_SECRET,
    stripe_price_pro: PRICES.pro,
    stripe_price_team: PRICES.team,
    stripe_api_url: apiUrl,
    stripe_invoice_days: 14,
    stripe_timeout_ms: 20_000,
    stripe_retries: 0,
    billing_interval_ms: 10,
    ...more,
  };
}

/** Price and quantity of each item. */
export function itemsOf(sub: Sub | undefined) {
  return sub?.items.data.map(({ price, quantity }) => [price.id, quantity]);
}

export async function startBillingWorld(more: Partial<BillingConfig> = {}): Promise<BillingWorld> {
  await using building = new AsyncDisposableStack();
  const postgres = building.use(await startTestPostgres());
  const store = await openStore({ ...OWN_SCHEMA, url: postgres.url, poolMax: 6 });
  building.defer(() => store.close());
  const stripe = building.use(await StripeDouble.start());
  const config = testConfig(stripe.url, more);
  const billing = createBilling(config);
  const told: BillingChange[] = [];
  let aheadMs = 0;
  const clock: Clock = {
    nowUs: () => systemClock.nowUs() + aheadMs * 1000,
    monotonicMs: () => systemClock.monotonicMs(),
  };
  const settle = storeOutcome(store, clock, (_tx, change) => Promise.resolve(void told.push(change)));
  const closing = building.move();
  const addMembers = async (org: string, from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const id = newId('user');
      await store.query(
        'insert into users (id, email, email_folded, default_org, created_at_ms) values ($1, $2, $2, $3, 1)',
        [id, `${id}@acme.test`, org],
      );
      await store.query(
        'insert into memberships (org, user_id, role, joined_at_ms, version) values ($1, $2, $3, $4, 1)',
        [org, id, i === 0 ? 'owner' : 'member', i],
      );
    }
  };
  const due = (org: string) =>
    store.query('update orgs set billing_due_at_ms = $2 where id = $1', [org, nowMs(clock)]);
  const upkeep: BillingWorld['upkeep'] = (parts = {}) =>
    new BillingUpkeep({ store, billing, settle, clock, log, limits: upkeepLimits(config), ...parts });
  const newOrg: BillingWorld['org'] = async (plan, members = 1) => {
    const id = newId('org');
    await store.query(
      `insert into orgs (id, slug, name, plan, sso_enabled, history, message_events, status, deletion, version,
         state_version, created_at_ms, billing_status, billing_failures)
       values ($1, $1, 'Acme', $2, false, 'full', 'off', 'active', 0, 1, 1, 1, 'none', 0)`,
      [id, plan],
    );
    await addMembers(id, 0, members);
    await due(id);
    return id;
  };
  return {
    store,
    stripe,
    billing,
    told,
    clock,
    nowMs: () => nowMs(clock),
    advance: (ms) => {
      aheadMs += ms;
    },
    upkeep,
    org: newOrg,
    billed: async (plan, members) => {
      const org = await newOrg(plan, members);
      await upkeep().runDue();
      return org;
    },
    setMembers: async (org, members) => {
      const [row] = await store.query<{ count: number }>('select count(*) from memberships where org = $1', [
        org,
      ]);
      await addMembers(org, row!.count, members);
      await store.query('delete from memberships where org = $1 and joined_at_ms >= $2', [org, members]);
      await due(org);
    },
    setPlan: async (org, plan, status = 'active') => {
      await store.query('update orgs set plan = $2, status = $3 where id = $1', [org, plan, status]);
      await due(org);
    },
    row: async (org) => {
      const row = await store.run((em) => em.findOne(Org, { id: org }));
      return row!;
    },
    subsOf: (org) => stripe.model.subscriptionsOf(org),
    liveOf: (org) => stripe.model.liveOf(org),
    customersOf: (org) => stripe.model.customersOf(org),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}
