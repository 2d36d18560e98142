/**
 * Goal: what Stripe answers, or fails to, comes out as stable reasons, and the secret key never does.
 * Method: the adapter on the real library against the double, fault by fault; then an upkeep whose log is read.
 */

import assert from 'node:assert/strict';
import { asFleetwireError, causeChain, type FleetwireError } from '@fleetwire/kernel';
import { createLog } from '@fleetwire/telemetry';
import { after, before, describe, it } from 'mocha';
import { createBilling, upkeepLimits } from '../../src/billing/billing-keys.ts';
import { noBilling } from '../../src/billing/none.ts';
import type { Billing } from '../../src/billing/port.ts';
import { type BillingWorld, startBillingWorld, testConfig } from './billing-world.ts';
import { SECRET_KEY, StripeDouble } from './stripe-double.ts';

const wish = { org: 'o_1', plan: 'team', seats: 3 } as const;
const facts = { org: 'o_1', name: 'Acme', email: 'o@acme.test', customerId: null, idempotencyKey: 'c' };

describe('billing by Stripe', function () {
  this.timeout(60_000);
  let double: StripeDouble;
  let billing: Billing;
  let customerId: string;

  before(async () => {
    double = await StripeDouble.start();
    billing = createBilling(testConfig(double.url));
    customerId = await billing.ensureCustomer(facts);
  });
  after(() => double[Symbol.asyncDispose]());

  let keys = 0;
  const create = (by: Billing = billing) =>
    by.createSubscription({ ...wish, customerId, idempotencyKey: `k${++keys}` });
  const failureOf = (work: Promise<unknown>): Promise<FleetwireError> =>
    work.then(
      () => assert.fail('it worked'),
      (error: unknown) => asFleetwireError(error),
    );

  it('says who asks, pins the version, sends no telemetry, and keys every write', async () => {
    const made = await create();
    await billing.changeSubscription({
      subscriptionId: made.id,
      plan: 'pro',
      seats: 1,
      idempotencyKey: 'k-change',
    });
    await create();
    await billing.cancelSubscription(made.id);
    for (const { headers, method } of double.requests) {
      assert.equal(headers.authorization, `Bearer ${SECRET_KEY}`);
      assert.match(String(headers['stripe-version']), /^\d{4}-\d\d-\d\d\./);
      assert.equal(headers['x-stripe-client-telemetry'], undefined);
      if (method === 'POST') assert.notEqual(headers['idempotency-key'], undefined);
    }
    assert.deepEqual(
      double.model.subscriptions.map((sub) => sub.metadata),
      [{ fleetwire_org: 'o_1' }, { fleetwire_org: 'o_1' }],
    );
  });

  it('makes one when asked twice under one key', async () => {
    const before = double.model.subscriptions.length;
    const again = { ...wish, customerId, idempotencyKey: 'k-twice' };
    const [first, second] = [
      await billing.createSubscription(again),
      await billing.createSubscription(again),
    ];
    assert.equal(first.id, second.id);
    assert.equal(double.model.subscriptions.length, before + 1);
    const other = await failureOf(billing.createSubscription({ ...again, seats: 9 }));
    assert.deepEqual([other.kind, other.reason, other.details['status']], ['aborted', 'BILLING_BUSY', '400']);
  });

  it('tells what is unknown there from what fails', async () => {
    assert.equal(await billing.readSubscription('sub_none'), undefined);
    assert.equal(await billing.findSubscription('o_1', 'cus_none'), undefined);
    await billing.cancelSubscription('sub_none');
    const made = await create();
    await billing.cancelSubscription(made.id);
    await billing.cancelSubscription(made.id);
    const ended = await billing.readSubscription(made.id);
    assert.deepEqual([ended!.status, ended!.endedByUs], ['cancelled', true]);
    const gone = await failureOf(
      billing.createSubscription({ ...wish, customerId: 'cus_none', idempotencyKey: 'x' }),
    );
    assert.deepEqual([gone.reason, gone.details['code']], ['BILLING_REFUSED', 'resource_missing']);
  });

  for (const [status, reason, kind] of [
    [400, 'BILLING_REFUSED', 'failed_precondition'],
    [401, 'BILLING_REFUSED', 'failed_precondition'],
    [402, 'BILLING_REFUSED', 'failed_precondition'],
    [403, 'BILLING_REFUSED', 'failed_precondition'],
    [404, 'BILLING_REFUSED', 'failed_precondition'],
    [429, 'BILLING_AWAY', 'unavailable'],
    [500, 'BILLING_AWAY', 'unavailable'],
    [503, 'BILLING_AWAY', 'unavailable'],
  ] as const)
    it(`answers ${status} with ${reason}`, async () => {
      double.fail(/^POST \/v1\/subscriptions$/, { kind: 'answer', status, code: 'some_code' });
      const failure = await failureOf(create());
      assert.deepEqual([failure.reason, failure.kind], [reason, kind]);
      assert.deepEqual([failure.details['status'], failure.details['code']], [String(status), 'some_code']);
      assert.equal(failure.details['declined'], status === 402 ? 'insufficient_funds' : undefined);
    });

  it('has no answer from one that hangs, hangs up, is not there, or is at it still', async () => {
    const hasty = createBilling(testConfig(double.url, { stripe_timeout_ms: 100 }));
    double.fail(/^GET/, { kind: 'hang', worked: false });
    const hung = await failureOf(hasty.readSubscription('sub_1'));
    double.fail(/^GET/, { kind: 'reset', worked: false }, 2);
    const reset = await failureOf(billing.readSubscription('sub_1'));
    const nobody = createBilling(testConfig('http://127.0.0.1:1'));
    const refused = await failureOf(nobody.readSubscription('sub_1'));
    for (const failure of [hung, reset, refused])
      assert.deepEqual([failure.reason, failure.details['status']], ['BILLING_AWAY', undefined]);
    const hold = double.fail(/^POST \/v1\/subscriptions$/, { kind: 'hold', worked: true });
    const at = { ...wish, customerId, idempotencyKey: 'k-held' };
    const slow = billing.createSubscription(at);
    await hold.reached;
    const busy = await failureOf(billing.createSubscription(at));
    assert.deepEqual([busy.reason, busy.details['status']], ['BILLING_BUSY', undefined]);
    hold.release();
    assert.equal((await slow).status, 'active');
  });

  it('repeats by itself what was not answered, under the same key', async () => {
    const patient = createBilling(testConfig(double.url, { stripe_retries: 2 }));
    const before = double.model.subscriptions.length;
    double.fail(/^POST \/v1\/subscriptions$/, { kind: 'reset', worked: true }, 2);
    await create(patient);
    assert.equal(double.model.subscriptions.length, before + 1);
  });

  it('brings a customer up to date and keeps to one', async () => {
    const same = await billing.ensureCustomer({
      ...facts,
      customerId,
      name: 'Acme "2"\r\n',
      email: 'new@acme.test',
    });
    assert.equal(same, customerId);
    const customer = double.model.customers.find(({ id }) => id === customerId)!;
    assert.deepEqual([customer.name, customer.email], ['Acme "2"\r\n', 'new@acme.test']);
    double.forgetKeys();
    assert.equal(await billing.ensureCustomer(facts), customerId, 'found by its metadata');
  });

  it('shows the key to nobody', async () => {
    double.fail(/^GET/, { kind: 'answer', status: 401, code: 'invalid_api_key' });
    const wrong = createBilling(testConfig(double.url, { stripe_secret_key: 'sk_test_wrong_77aa' }));
    const nobody = createBilling(testConfig('http://127.0.0.1:1'));
    for (const by of [billing, wrong, nobody]) {
      const failure = await failureOf(by.readSubscription('sub_1'));
      const shown = [causeChain(failure), JSON.stringify(failure), failure.help, failure.stack].join();
      assert.doesNotMatch(shown, /sk_test|4f9a|77aa/);
    }
  });

  it('needs its whole configuration', () => {
    const complete = testConfig(double.url);
    for (const key of [
      'stripe_secret_key',
      'stripe_webhook_secret',
      'stripe_price_pro',
      'stripe_price_team',
    ] as const)
      assert.throws(
        () => createBilling({ ...complete, [key]: undefined }),
        (error: FleetwireError) =>
          error.reason === 'INVALID_CONFIG' && error.message.endsWith(`FLEETWIRE_ORG_${key.toUpperCase()}`),
      );
    assert.throws(() => createBilling({ ...complete, stripe_price_pro: 'price_team' }), {
      reason: 'INVALID_CONFIG',
    });
    assert.equal(createBilling({ ...complete, billing: 'none' }), noBilling);
    assert.ok(upkeepLimits(complete).claimMs >= 120_000);
  });

  it('is not there by default', async () => {
    const failure = await failureOf(noBilling.ensureCustomer(facts));
    assert.deepEqual([failure.kind, failure.reason], ['unimplemented', 'BILLING_NOT_CONFIGURED']);
    assert.throws(() => noBilling.readEvent(Buffer.from(''), '', 0), { reason: 'BILLING_NOT_CONFIGURED' });
    assert.equal(await noBilling.readSubscription('sub_1'), undefined);
    await noBilling.cancelSubscription('sub_1');
  });
});

describe('billing by card', function () {
  this.timeout(60_000);
  let world: BillingWorld;
  const lines: string[] = [];
  const log = createLog({
    service: 'org',
    instance: 'test',
    version: '0',
    level: 'debug',
    stream: { write: (line) => void lines.push(line) },
  });

  before(async () => {
    world = await startBillingWorld({ stripe_invoice_days: 0 });
  });
  after(() => world[Symbol.asyncDispose]());

  it('shows a declined card, waits, and goes on when there is another', async () => {
    const org = await world.org('team');
    const upkeep = world.upkeep({ log });
    world.stripe.model.card = 'declined';
    await upkeep.runDue();
    const row = await world.row(org);
    assert.deepEqual([row.plan, row.billingStatus, row.subscriptionId], ['team', 'past_due', null]);
    assert.ok(row.billingDueAtMs! > world.nowMs() + 500_000, 'the card is not tried again in a second');
    assert.ok(lines.some((line) => line.includes('BILLING_REFUSED')));
    assert.ok(!lines.some((line) => line.includes('sk_test') || line.includes('whsec')));
    world.stripe.model.card = 'good';
    world.advance(600_001);
    await upkeep.runDue();
    assert.equal((await world.row(org)).billingStatus, 'active');
    assert.equal(world.stripe.model.live[0]!.collection_method, 'charge_automatically');
  });

  it('does not get the old refusal again after a pause on free', async () => {
    const org = await world.org('team');
    const upkeep = world.upkeep();
    world.stripe.model.card = 'declined';
    await upkeep.runDue();
    world.stripe.model.card = 'good';
    await world.setPlan(org, 'free');
    await upkeep.runDue();
    assert.equal((await world.row(org)).billingStatus, 'none');
    await world.setPlan(org, 'team');
    await upkeep.runDue();
    assert.equal((await world.row(org)).billingStatus, 'active');
  });

  it('replaces one that waits for its first payment', async () => {
    const org = await world.org('pro');
    const upkeep = world.upkeep();
    await upkeep.runDue();
    const first = world.stripe.model.live.at(-1)!;
    first.status = 'incomplete';
    await world.setMembers(org, 1);
    await upkeep.runDue();
    assert.equal((await world.row(org)).billingStatus, 'pending');
    await world.setMembers(org, 2);
    await upkeep.runDue();
    assert.equal(first.status, 'canceled');
    const row = await world.row(org);
    assert.deepEqual([row.billedSeats, row.billingStatus], [2, 'active']);
    assert.notEqual(row.subscriptionId, first.id);
  });
});
