/** Two replicas of org that bill by a double of Stripe, and what of it all tests of orgs look at. */

import type { OrgState } from '@fleetwire/gen/access';
import type { RunningService } from '@fleetwire/runtime';
import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';
import { testConfig } from './billing/billing-world.ts';
import { StripeDouble } from './billing/stripe-double.ts';
import { type Client, type OrgWorld, type Overrides, type Person, startOrgWorld } from './fixture.ts';

export interface SoldWorld extends AsyncDisposable {
  readonly world: OrgWorld;
  readonly stripe: StripeDouble;
  readonly store: Store;
  readonly replicas: readonly [RunningService, RunningService];
  readonly operator: Client;
  readonly registry: Client;
  /** A fresh org of a fresh owner, and a person's client at each replica. */
  org(name: string, plan?: string): Promise<SoldOrg>;
  /** Who has that API key, with a client at each replica. */
  both(apiKey: string): Promise<{ readonly user: string; readonly at: readonly [Client, Client] }>;
  /** What the provider bills an org for: plan and seats of each live subscription. */
  billed(org: string): readonly string[];
  /** The state in fw-orgs, once it is as new as the database. */
  settled(org: string): Promise<OrgState>;
  /** Resolves when the deletion has come to the step; null: when it is through. */
  deletionAt(org: string, step: string | null): Promise<void>;
}

export interface SoldOrg {
  readonly id: string;
  readonly slug: string;
  readonly owner: Person;
  /** The owner's client at each replica. */
  readonly at: readonly [Client, Client];
}

export async function startSoldWorld(settings: Overrides['org'] = {}): Promise<SoldWorld> {
  await using building = new AsyncDisposableStack();
  const stripe = building.use(await StripeDouble.start());
  const world = building.use(await startOrgWorld());
  const sold: Overrides['org'] = { ...testConfig(stripe.url), billing_interval_ms: 50, ...settings };
  const replicas = [await world.start(sold), await world.start(sold)] as const;
  const store = await world.store();
  const operator = await world.operator(replicas[0]);
  const registry = await world.asService(replicas[0], 'registry');
  const closing = building.move();
  const version = async (org: string) =>
    (
      await store.query<{ version: number }>('select state_version as version from orgs where id = $1', [org])
    )[0]!.version;
  const both: SoldWorld['both'] = async (apiKey) => {
    const { user, token } = await world.client(replicas[0]).exchangeKey({ apiKey });
    return { user, at: [world.client(replicas[0], () => token), world.client(replicas[1], () => token)] };
  };
  return {
    world,
    stripe,
    store,
    replicas,
    operator,
    registry,
    org: async (name, plan = 'team') => {
      const email = `owner@${name}.test`;
      const { org, secret } = await operator.createOrg({ name, slug: name, plan, ownerEmail: email });
      const { user, at } = await both(secret);
      return { id: org!.id, slug: name, owner: { user, email, apiKey: secret, client: at[0] }, at };
    },
    both,
    billed: (org) =>
      stripe.model
        .liveOf(org)
        .map(({ items: { data } }) => data.map((item) => `${item.price.id}:${item.quantity}`).join('+')),
    settled: (org) =>
      eventually(async () => {
        const state = await world.published(org);
        return state !== undefined && state.version === (await version(org)) ? state : undefined;
      }),
    deletionAt: async (org, step) => {
      await eventually(async () => {
        const [row] = await store.query<{ status: string; deletion_step: string | null }>(
          'select status, deletion_step from orgs where id = $1',
          [org],
        );
        return step === null ? row!.status === 'deleted' : row!.deletion_step === step;
      });
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}
