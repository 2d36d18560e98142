/**
 * Goal: one subscription for each org and the newest wish billed, whatever fails, dies or comes in between.
 * Method: the double of Stripe loses answers, holds them back before or after the work, and forgets its keys, while
 * replicas die or overtake each other; in the end its books and the org's row are compared.
 */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { after, afterEach, before, describe, it } from 'mocha';
import { type BillingWorld, itemsOf, PRICES, startBillingWorld } from './billing-world.ts';

const HOUR_MS = 3_600_000;

describe('upkeep of billing, when things go wrong', function () {
  this.timeout(60_000);
  let world: BillingWorld;

  before(async () => {
    world = await startBillingWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  afterEach(() => {
    world.stripe.heal();
    world.stripe.model.searchable = true;
  });

  const work = () => world.upkeep().runDue();
  /** The backoff is over, and so is every claim. */
  const later = () => {
    world.advance(HOUR_MS);
    return work();
  };

  it('tries again after 429 and 500, with another key where Stripe would repeat itself', async () => {
    for (const status of [429, 500, 503]) {
      const org = await world.org('team');
      world.stripe.fail(/^POST \/v1\/subscriptions$/, { kind: 'answer', status });
      await work();
      const row = await world.row(org);
      assert.ok(row.billingDueAtMs! > world.nowMs(), 'put off');
      assert.deepEqual([row.billingFailures, row.billingStatus], [1, 'pending']);
      assert.equal(world.liveOf(org).length, 0);
      await later();
      assert.equal(world.liveOf(org).length, 1);
      assert.deepEqual([(await world.row(org)).billingFailures, world.subsOf(org).length], [0, 1]);
    }
  });

  it('finds what an answer of 500 had made all the same', async () => {
    const org = await world.org('team');
    world.stripe.fail(/^POST \/v1\/subscriptions$/, { kind: 'answer', status: 500, worked: true });
    await work();
    await later();
    assert.equal(world.subsOf(org).length, 1);
    assert.equal((await world.row(org)).subscriptionId, world.subsOf(org)[0]!.id);
  });

  for (const worked of [true, false])
    it(`makes one when the connection is lost ${worked ? 'after' : 'before'} the work`, async () => {
      for (const path of ['customers', 'subscriptions']) {
        const org = await world.org('team');
        // Twice: the library itself repeats a call whose connection was closed.
        world.stripe.fail(new RegExp(`^POST /v1/${path}$`), { kind: 'reset', worked }, 2);
        world.stripe.model.searchable = false;
        await work();
        assert.equal((await world.row(org)).billingFailures, 0, 'nothing was answered');
        await later();
        assert.equal(world.subsOf(org).length, 1, path);
        assert.equal(world.customersOf(org).length, 1, path);
        assert.equal((await world.row(org)).billingStatus, 'active');
      }
    });

  it('leaves one of each when the process dies at any step', async () => {
    const steps = [/^POST \/v1\/customers$/, /^POST \/v1\/customers\/cus/, /^POST \/v1\/subscriptions$/];
    const cases = steps.flatMap((step) =>
      [false, true].flatMap((forgotten) =>
        (['hang', 'hold'] as const).map((kind) => ({ step, forgotten, kind })),
      ),
    );
    // After a hang it is as good as dead; after a hold it goes on, in the way of the other one.
    for (const { step, forgotten, kind } of cases) {
      const org = await world.org('team');
      const met = world.stripe.fail(step, { kind, worked: true });
      void world.upkeep({ settle: () => new Promise<void>(() => {}) }).runDue();
      await met.reached;
      world.advance(HOUR_MS); // its claim is over
      if (forgotten) world.stripe.forgetKeys();
      else world.stripe.model.searchable = false;
      const other = work();
      met.release();
      await other;
      await later();
      const named = `${step} ${forgotten} ${kind}`;
      assert.deepEqual([world.customersOf(org).length, world.subsOf(org).length], [1, 1], named);
      assert.equal((await world.row(org)).subscriptionId, world.subsOf(org)[0]!.id, named);
      world.stripe.model.searchable = true;
    }
  });

  it('takes up a customer and a subscription that nobody wrote down, also after a day', async () => {
    const org = await world.billed('team');
    await world.store.query(
      `update orgs set customer_id = null, subscription_id = null, billed_plan = null, billed_seats = null,
         billing_due_at_ms = $2 where id = $1`,
      [org, world.nowMs()],
    );
    world.stripe.forgetKeys();
    await work();
    assert.deepEqual([world.customersOf(org).length, world.subsOf(org).length], [1, 1]);
    assert.equal((await world.row(org)).subscriptionId, world.subsOf(org)[0]!.id);
  });

  it('makes one subscription with two replicas, whoever is slow', async () => {
    const org = await world.org('team', 3);
    const hold = world.stripe.fail(/^POST \/v1\/subscriptions$/, { kind: 'hold', worked: true });
    const slow = work();
    await hold.reached;
    // A member comes meanwhile, and the other replica takes the org from under the first.
    await world.setMembers(org, 5);
    const busy = await work();
    assert.equal(busy, 1);
    hold.release();
    await slow;
    await later();
    await later();
    assert.equal(world.subsOf(org).length, 1);
    assert.deepEqual(itemsOf(world.subsOf(org)[0]), [[PRICES.team, 5]]);
    assert.equal((await world.row(org)).billingDueAtMs, null);
  });

  it('shares the work between replicas', async () => {
    const orgs = await Promise.all(Array.from({ length: 12 }, () => world.org('pro')));
    const counts = await Promise.all([work(), work(), work()]);
    assert.equal(
      counts.reduce((a, b) => a + b),
      12,
      'each org was taken once',
    );
    for (const org of orgs) assert.equal(world.subsOf(org).length, 1);
  });

  it('keeps what was set due while it was at work', async () => {
    const org = await world.billed('team', 3);
    await world.setMembers(org, 4);
    const hold = world.stripe.fail(/^POST \/v1\/subscriptions\/sub/, { kind: 'hold', worked: true });
    const running = work();
    await hold.reached;
    await world.setMembers(org, 7);
    hold.release();
    await running;
    assert.deepEqual(itemsOf(world.liveOf(org)[0]), [[PRICES.team, 7]]);
    assert.equal((await world.row(org)).billingDueAtMs, null);
  });

  it('looks again when an older wish may have been the later call', async () => {
    const org = await world.billed('team', 3);
    await world.setMembers(org, 4);
    const hold = world.stripe.fail(/^POST \/v1\/subscriptions\/sub/, { kind: 'hold', worked: false });
    const slow = work();
    await hold.reached;
    await world.setMembers(org, 7);
    await work();
    assert.deepEqual(itemsOf(world.liveOf(org)[0]), [[PRICES.team, 7]]);
    hold.release();
    await slow;
    assert.deepEqual(itemsOf(world.liveOf(org)[0]), [[PRICES.team, 7]]);
    assert.equal((await world.row(org)).billedSeats, 7);
  });

  it('does not take its own cancellation for one that was made there', async () => {
    const org = await world.billed('team');
    await world.setPlan(org, 'free');
    const cancelled = Promise.withResolvers<void>();
    const settle = () => {
      cancelled.resolve();
      return new Promise<void>(() => {});
    };
    void world.upkeep({ settle }).runDue();
    await cancelled.promise; // and then it dies
    assert.equal(world.liveOf(org).length, 0);
    await world.setPlan(org, 'team');
    await work();
    assert.equal(world.liveOf(org).length, 1);
    assert.equal((await world.row(org)).plan, 'team');
  });

  it('lets nobody fall for what an older subscription was', async () => {
    const org = await world.billed('team');
    const [first] = world.liveOf(org);
    world.stripe.model.endThere(first!.id);
    await world.setMembers(org, 2);
    const held = world.stripe.fail(/^GET \/v1\/subscriptions$/, { kind: 'hold', worked: true });
    const slow = work();
    await held.reached;
    await world.setMembers(org, 2);
    await work();
    assert.equal((await world.row(org)).plan, 'free');
    await world.setPlan(org, 'team');
    await work();
    held.release();
    await slow;
    const row = await world.row(org);
    assert.deepEqual(
      [row.plan, row.billingStatus, row.subscriptionId],
      ['team', 'active', world.liveOf(org)[0]!.id],
    );
  });

  it('makes nothing for an org that was closed a moment ago', async () => {
    const org = await world.org('team');
    const held = world.stripe.fail(/^POST \/v1\/customers$/, { kind: 'hold', worked: true });
    const slow = work();
    await held.reached;
    await world.setPlan(org, 'team', 'deleting');
    held.release();
    await slow;
    await later();
    assert.equal(world.subsOf(org).length, 0);
    assert.equal((await world.row(org)).billingDueAtMs, null);
  });

  it('does not believe a repeated answer about what was ended since', async () => {
    const org = await world.org('team');
    const met = world.stripe.fail(/^POST \/v1\/subscriptions$/, { kind: 'hang', worked: true });
    void world.upkeep({ settle: () => new Promise<void>(() => {}) }).runDue();
    await met.reached;
    await eventually(() => world.liveOf(org).length === 1);
    world.stripe.model.endThere(world.liveOf(org)[0]!.id);
    await later();
    await later();
    assert.equal(world.liveOf(org).length, 1);
    assert.equal((await world.row(org)).subscriptionId, world.liveOf(org)[0]!.id);
  });
});
