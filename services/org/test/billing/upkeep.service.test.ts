/**
 * Goal: what Stripe bills follows plans and members, with one subscription for each org whatever fails in between.
 * Method: the real library against a double of Stripe's API and a real PostgreSQL; each test changes an org as members
 * would, lets the upkeep work, and reads what the double holds.
 */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type BillingWorld, itemsOf, PRICES, startBillingWorld } from './billing-world.ts';

describe('upkeep of billing', function () {
  this.timeout(60_000);
  let world: BillingWorld;

  before(async () => {
    world = await startBillingWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  afterEach(() => world.stripe.heal());

  const work = () => world.upkeep().runDue();

  it('makes a customer and a subscription for a new org', async () => {
    const org = await world.billed('team');
    const [sub, ...others] = world.subsOf(org);
    assert.deepEqual(others, []);
    assert.deepEqual(itemsOf(sub), [[PRICES.team, 3]]);
    assert.equal(sub!.collection_method, 'send_invoice');
    const [customer] = world.customersOf(org);
    assert.equal(customer!.name, 'Acme');
    assert.match(customer!.email!, /@acme\.test$/);
    const row = await world.row(org);
    assert.equal(row.customerId, customer!.id);
    assert.equal(row.subscriptionId, sub!.id);
    assert.deepEqual([row.billedPlan, row.billedSeats, row.billingStatus], ['team', 3, 'active']);
    assert.equal(row.billingDueAtMs, null);
    assert.equal(row.billingFailures, 0);
    assert.deepEqual(
      world.told
        .filter((change) => change.org === org)
        .map(({ statusFrom, statusTo }) => [statusFrom, statusTo]),
      [['none', 'active']],
    );
  });

  it('makes no call for what is not billed by seat', async () => {
    const before = world.stripe.requests.length;
    const orgs = [await world.billed('free', 2), await world.billed('enterprise', 2)];
    assert.equal(world.stripe.requests.length, before);
    for (const org of orgs) assert.equal((await world.row(org)).billingDueAtMs, null);
  });

  it('lets seats follow members, three at least on Team', async () => {
    const org = await world.billed('team', 2);
    for (const [members, seats] of [
      [3, 3],
      [5, 5],
      [4, 4],
      [1, 3],
    ] as const) {
      await world.setMembers(org, members);
      await work();
      assert.deepEqual(itemsOf(world.liveOf(org)[0]), [[PRICES.team, seats]]);
      assert.equal((await world.row(org)).billedSeats, seats);
    }
    assert.equal(world.subsOf(org).length, 1);
  });

  it('goes from plan to plan and back with one item', async () => {
    const org = await world.billed('pro', 2);
    for (const plan of ['team', 'pro', 'team', 'pro'] as const) {
      await world.setPlan(org, plan);
      await work();
      assert.deepEqual(itemsOf(world.liveOf(org)[0]), [[PRICES[plan], plan === 'team' ? 3 : 2]]);
    }
    assert.equal(world.subsOf(org).length, 1);
    const keys = world.stripe.asked(/^POST \/v1\/subscriptions\/sub/).map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length, 'no answer of before is repeated');
  });

  it('leaves items alone that somebody added', async () => {
    const org = await world.billed('team', 3);
    const extra = { id: 'si_extra', price: { id: 'price_sso' }, quantity: 1 };
    world.liveOf(org)[0]!.items.data.unshift(extra);
    await world.setMembers(org, 6);
    await work();
    assert.deepEqual(itemsOf(world.liveOf(org)[0]), [
      ['price_sso', 1],
      [PRICES.team, 6],
    ]);
  });

  it('ends and begins again with free, enterprise and deletion', async () => {
    const org = await world.billed('team');
    const steps = [
      ['free', 'active', 0],
      ['team', 'active', 1],
      ['enterprise', 'active', 0],
      ['pro', 'active', 1],
      ['pro', 'deleting', 0],
      ['pro', 'active', 1],
    ] as const;
    for (const [plan, status, live] of steps) {
      await world.setPlan(org, plan, status);
      await work();
      assert.equal(world.liveOf(org).length, live, `${plan} ${status}`);
      const row = await world.row(org);
      assert.equal(row.plan, plan);
      assert.equal(row.billingStatus, live === 1 ? 'active' : 'none');
    }
    assert.equal(world.customersOf(org).length, 1);
  });

  it('falls to free when the subscription was ended there, and only then', async () => {
    const org = await world.billed('team');
    const first = world.liveOf(org)[0]!;
    world.stripe.model.endThere(first.id);
    await world.setMembers(org, 2);
    await work();
    const row = await world.row(org);
    assert.deepEqual([row.plan, row.billingStatus, row.billedPlan], ['free', 'cancelled', null]);
    assert.deepEqual(world.told.filter((change) => change.org === org).at(-1), {
      org,
      planFrom: 'team',
      planTo: 'free',
      statusFrom: 'active',
      statusTo: 'cancelled',
    });
    await world.setMembers(org, 1);
    await work();
    assert.equal((await world.row(org)).billingStatus, 'cancelled', 'it stays visible');
    await world.setPlan(org, 'team');
    await work();
    assert.equal(world.liveOf(org).length, 1);
    assert.deepEqual([(await world.row(org)).plan, (await world.row(org)).billingStatus], ['team', 'active']);
  });

  it('shows late payments and keeps the plan', async () => {
    const org = await world.billed('team');
    for (const [status, shown] of [
      ['past_due', 'past_due'],
      ['unpaid', 'past_due'],
      ['active', 'active'],
    ] as const) {
      world.liveOf(org)[0]!.status = status;
      await world.setMembers(org, 3);
      await work();
      const row = await world.row(org);
      assert.deepEqual([row.plan, row.billingStatus], ['team', shown]);
    }
  });

  it('makes another when Stripe knows neither customer nor subscription', async () => {
    const org = await world.billed('team');
    const { model } = world.stripe;
    model.subscriptions.splice(model.subscriptions.indexOf(world.liveOf(org)[0]!), 1);
    world.customersOf(org)[0]!.deleted = true;
    await world.setMembers(org, 4);
    await work();
    assert.deepEqual(itemsOf(world.liveOf(org)[0]), [[PRICES.team, 4]]);
    const row = await world.row(org);
    assert.deepEqual([row.plan, row.subscriptionId], ['team', world.liveOf(org)[0]!.id]);
    assert.equal(row.customerId, world.customersOf(org)[1]!.id);
  });

  describe('cancelNow', () => {
    it('ends it, again and again, and the org that is unknown too', async () => {
      const org = await world.billed('team');
      await world.setPlan(org, 'team', 'deleting');
      const upkeep = world.upkeep();
      await upkeep.cancelNow(org);
      assert.equal(world.liveOf(org).length, 0);
      await upkeep.cancelNow(org);
      await upkeep.cancelNow('o_0000000000000000');
      await work();
      const row = await world.row(org);
      assert.deepEqual([row.billingStatus, row.plan, row.billingDueAtMs], ['none', 'team', null]);
    });

    it('ends what nobody wrote down', async () => {
      const org = await world.billed('team');
      await world.setPlan(org, 'team', 'deleting');
      await world.store.query('update orgs set subscription_id = null where id = $1', [org]);
      await world.upkeep().cancelNow(org);
      assert.equal(world.liveOf(org).length, 0);
    });

    it('rejects while Stripe is away, and works afterwards', async () => {
      const org = await world.billed('team');
      await world.setPlan(org, 'team', 'deleting');
      world.stripe.fail(/^DELETE/, { kind: 'answer', status: 500 });
      await assert.rejects(world.upkeep().cancelNow(org), { reason: 'BILLING_AWAY', kind: 'unavailable' });
      assert.equal(world.liveOf(org).length, 1);
      await world.upkeep().cancelNow(org);
      assert.equal(world.liveOf(org).length, 0);
    });

    it('is followed by the upkeep when a creation was under way', async () => {
      const org = await world.org('team');
      const hold = world.stripe.fail(/^POST \/v1\/subscriptions$/, { kind: 'hold', worked: false });
      const slow = work();
      await hold.reached;
      await world.setPlan(org, 'team', 'deleting');
      await world.upkeep().cancelNow(org);
      hold.release();
      await slow;
      await work();
      assert.equal(world.subsOf(org).length, 1);
      assert.equal(world.liveOf(org).length, 0);
    });
  });

  it('runs by itself, is kicked, and stops', async () => {
    const upkeep = world.upkeep();
    upkeep.start();
    try {
      const org = await world.org('pro');
      upkeep.kick();
      await eventually(() => world.liveOf(org).length === 1);
      await eventually(async () => (await world.row(org)).billingDueAtMs === null);
    } finally {
      await upkeep.stop();
    }
    const org = await world.org('pro');
    upkeep.kick();
    assert.notEqual((await world.row(org)).billingDueAtMs, null);
  });
});
