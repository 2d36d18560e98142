/**
 * Goal: a webhook event does good at most once and harm never, whoever sends it, when, in which order.
 * Method: events signed by the library's own test signer, right, wrong, late, twice and in the wrong order; what the org
 * is billed afterwards is compared with what the double of Stripe holds.
 */

import assert from 'node:assert/strict';
import { systemClock } from '@fleetwire/kernel';
import fc from 'fast-check';
import { after, before, beforeEach, describe, it } from 'mocha';
import Stripe from 'stripe';
import { handleWebhook, WEBHOOK_BYTES_MAX } from '../../src/billing/webhook.ts';
import { type BillingWorld, startBillingWorld, WEBHOOK_SECRET } from './billing-world.ts';
import type { Sub } from './stripe-model.ts';

const signer = new Stripe('sk_test_signer').webhooks;
const DAY_MS = 86_400_000;

describe('billing webhook', function () {
  this.timeout(60_000);
  let world: BillingWorld;
  let org: string;
  let sub: Sub;
  let kicks = 0;
  let count = 0;

  before(async () => {
    world = await startBillingWorld();
  });
  after(() => world[Symbol.asyncDispose]());
  beforeEach(async () => {
    org = await world.billed('team', 3);
    sub = world.stripe.model.live.at(-1)!;
    kicks = 0;
  });

  const work = () => world.upkeep().runDue();
  const isDue = async () => (await world.row(org)).billingDueAtMs !== null;
  const eventOf = (type: string, object: object, id = `evt_${++count}`) =>
    JSON.stringify({ id, object: 'event', type, created: 1_700_000_000, data: { object } });
  const signed = (payload: string, o: { secret?: string; atMs?: number } = {}) =>
    signer.generateTestHeaderString({
      payload,
      secret: o.secret ?? WEBHOOK_SECRET,
      timestamp: Math.floor((o.atMs ?? world.nowMs()) / 1000),
    });
  const parts = () => ({
    billing: world.billing,
    store: world.store,
    clock: world.clock,
    kick: () => void kicks++,
  });
  const post = (payload: string, header: string | undefined = signed(payload)) =>
    handleWebhook(parts(), Buffer.from(payload), header);
  const reasonOf = (answer: Promise<unknown>) =>
    answer.then(
      () => 'none',
      (error: { kind: string; reason: string }) => `${error.kind} ${error.reason}`,
    );

  it('sets the org due, once for each event', async () => {
    const event = eventOf('customer.subscription.updated', sub);
    assert.equal(await post(event), 'taken');
    assert.ok(await isDue());
    assert.equal(kicks, 1);
    await work();
    assert.equal(await isDue(), false);
    assert.equal(await post(event), 'repeated');
    assert.deepEqual([await isDue(), kicks], [false, 1]);
  });

  it('takes one of many at the same time', async () => {
    const event = eventOf('invoice.paid', { object: 'invoice', customer: sub.customer });
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(event)));
    assert.deepEqual(answers.toSorted(), ['repeated', 'repeated', 'repeated', 'repeated', 'taken']);
  });

  it('brings the seats back that somebody changed there', async () => {
    sub.items.data[0]!.quantity = 50;
    await post(eventOf('customer.subscription.updated', sub));
    await work();
    assert.equal(sub.items.data[0]!.quantity, 3);
  });

  it('finds the org by subscription, customer or metadata, in invoices of any version', async () => {
    const objects: [string, object][] = [
      ['customer.subscription.updated', { object: 'subscription', id: sub.id }],
      ['customer.subscription.updated', { object: 'subscription', id: 'sub_other', customer: sub.customer }],
      [
        'customer.subscription.created',
        { object: 'subscription', id: 'sub_x', metadata: { fleetwire_org: org } },
      ],
      ['invoice.payment_failed', { object: 'invoice', id: 'in_1', subscription: sub.id }],
      ['invoice.paid', { object: 'invoice', parent: { subscription_details: { subscription: sub.id } } }],
      [
        'invoice.paid',
        { object: 'invoice', parent: { subscription_details: { metadata: { fleetwire_org: org } } } },
      ],
      ['invoice.paid', { object: 'invoice', customer: { id: sub.customer, object: 'customer' } }],
      ['customer.updated', { object: 'customer', id: sub.customer }],
    ];
    for (const [type, object] of objects) {
      assert.equal(await post(eventOf(type, object)), 'taken', JSON.stringify(object));
      assert.ok(await isDue());
      await work();
    }
  });

  it('ignores what is about nothing of ours', async () => {
    const stranger = { object: 'subscription', id: 'sub_stranger', customer: 'cus_stranger' };
    assert.equal(await post(eventOf('customer.subscription.deleted', stranger)), 'ignored');
    assert.equal(
      await post(eventOf('charge.succeeded', { object: 'charge', customer: sub.customer })),
      'ignored',
    );
    assert.equal(
      await post(eventOf('invoice.paid', { object: 'invoice', id: "'; drop table orgs" })),
      'ignored',
    );
    assert.equal(await isDue(), false);
  });

  it('refuses what is not signed, or by somebody else, or another body', async () => {
    const event = eventOf('customer.subscription.updated', sub);
    const wrong = 'unauthenticated WEBHOOK_SIGNATURE_INVALID';
    const headers = [
      '',
      'nonsense',
      't=1,v1=',
      `t=${Math.floor(world.nowMs() / 1000)}`,
      signed(event, { secret: 'whsec_other' }),
      signed(`${event} `),
      signed(event).replace('v1=', 'v0='),
    ];
    for (const header of headers) assert.equal(await reasonOf(post(event, header)), wrong, header);
    const unsigned = handleWebhook(parts(), Buffer.from(event), undefined);
    assert.equal(await reasonOf(unsigned), wrong);
    assert.equal(await reasonOf(post('', signed('x'))), wrong);
    assert.equal(await isDue(), false);
  });

  it('refuses what was signed long ago, by the given clock', async () => {
    const event = eventOf('customer.subscription.updated', sub);
    const old = signed(event, { atMs: world.nowMs() - 302_000 });
    assert.equal(await reasonOf(post(event, old)), 'unauthenticated WEBHOOK_TOO_OLD');
    // An old signature does not become younger by a second time in front of it.
    const dressed = `t=${Math.floor(world.nowMs() / 1000)},${old}`;
    assert.equal(await reasonOf(post(event, dressed)), 'unauthenticated WEBHOOK_TOO_OLD');
    assert.equal(await post(event, signed(event, { atMs: world.nowMs() - 295_000 })), 'taken');
    const ahead = { ...systemClock, nowUs: () => systemClock.nowUs() + 400_000_000 + 1000 * world.nowMs() };
    const late = handleWebhook({ ...parts(), clock: ahead }, Buffer.from(event), signed(event));
    assert.equal(await reasonOf(late), 'unauthenticated WEBHOOK_TOO_OLD');
  });

  it('refuses what is too large before it looks at it', async () => {
    const event = eventOf('customer.subscription.updated', { ...sub, filler: 'x'.repeat(WEBHOOK_BYTES_MAX) });
    assert.equal(await reasonOf(post(event)), 'invalid_argument WEBHOOK_TOO_LARGE');
  });

  it('refuses garbage, signed or not', async () => {
    const shapes = ['null', '[]', '{}', '"x"', '{"id":7,"type":"a"}', '{"id":"","type":"a"}', 'no json'];
    for (const shape of shapes)
      assert.equal(await reasonOf(post(shape)), 'invalid_argument WEBHOOK_INVALID', shape);
    const odd = [
      '{"id":"e0","object":"v2.core.event","type":"v1.billing.meter"}',
      '{"id":"e1","type":"invoice.paid"}',
      '{"id":"e2","type":"invoice.paid","data":{"object":[1]}}',
    ];
    for (const shape of odd) assert.equal(await post(shape), 'ignored', shape);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const answer = handleWebhook(parts(), Buffer.from(bytes), signed('other'));
        assert.equal(await reasonOf(answer), 'unauthenticated WEBHOOK_SIGNATURE_INVALID');
      }),
      { numRuns: 50 },
    );
    assert.equal(await isDue(), false);
  });

  it('ends up the same in any order and number', async () => {
    const types = ['created', 'updated', 'updated', 'deleted', 'updated', 'created'];
    for (let turn = 0; turn < 6; turn++) {
      const order = [...types.slice(turn), ...types.slice(0, turn)];
      const ends = turn % 2 === 0;
      const other = await world.billed('team', 4);
      const its = world.stripe.model.live.at(-1)!;
      const asItWas = structuredClone(its);
      if (ends) world.stripe.model.endThere(its.id);
      for (const type of order) {
        await post(eventOf(`customer.subscription.${type}`, asItWas));
        await work();
      }
      const row = await world.row(other);
      assert.deepEqual([row.plan, row.billingStatus], ends ? ['free', 'cancelled'] : ['team', 'active']);
      assert.equal(row.billingDueAtMs, null);
    }
  });

  it('does not take a late "updated" for a new life', async () => {
    const asItWas = structuredClone(sub);
    world.stripe.model.endThere(sub.id);
    await post(eventOf('customer.subscription.deleted', { ...asItWas, status: 'canceled' }));
    await work();
    await post(eventOf('customer.subscription.updated', asItWas));
    await work();
    assert.deepEqual(
      [(await world.row(org)).plan, (await world.row(org)).billingStatus],
      ['free', 'cancelled'],
    );
  });

  it('loses no event that comes while the org is being billed', async () => {
    await world.setMembers(org, 4);
    const hold = world.stripe.fail(/^POST \/v1\/subscriptions\/sub/, { kind: 'hold', worked: true });
    const running = work();
    await hold.reached;
    world.stripe.model.endThere(sub.id);
    await post(eventOf('customer.subscription.deleted', sub));
    hold.release();
    await running;
    await work();
    assert.equal((await world.row(org)).plan, 'free');
  });

  it('forgets events after 30 days', async () => {
    const id = `evt_old_${++count}`;
    await post(eventOf('customer.subscription.updated', sub, id));
    await work();
    world.advance(31 * DAY_MS);
    await post(eventOf('customer.subscription.updated', sub));
    const ids = async () => (await world.store.query<{ id: string }>('select id from billing_events')).length;
    assert.ok((await ids()) > 1);
    const upkeep = world.upkeep();
    upkeep.start();
    await upkeep.stop();
    assert.equal(await ids(), 1);
  });
});
