/**
 * Goal: what is billed follows the org, in one step.
 * Method: a row for each case; then any org and any subscription, the plan carried out on a model of the provider, and
 * planned again: nothing is left to do.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  type BillableOrg,
  type BillingPlan,
  planBilling,
  statusAfter,
} from '../../src/billing/plan-billing.ts';
import { isPaidPlan, type Subscription } from '../../src/billing/port.ts';

const team: BillableOrg = {
  status: 'active',
  plan: 'team',
  seats: 4,
  billedPlan: 'team',
  billingStatus: 'active',
};
const sub: Subscription = { id: 'sub_1', status: 'active', plan: 'team', seats: 4, endedByUs: false };
const nothing: BillingPlan = { actions: [], fallsToFree: false };
const cancel = { kind: 'cancel', subscriptionId: 'sub_1' };
const create = { kind: 'create', plan: 'team', seats: 4 };
const change = { kind: 'change', subscriptionId: 'sub_1', plan: 'team', seats: 4 };
const over: Subscription = { ...sub, status: 'cancelled' };

describe('the plan of billing', () => {
  const rows: [string, Partial<BillableOrg>, Subscription | undefined, unknown][] = [
    [
      'a new org gets a subscription',
      { billedPlan: null },
      undefined,
      { actions: [create], fallsToFree: false },
    ],
    ['what fits is left alone', {}, sub, nothing],
    ['what fits and is paid late too', {}, { ...sub, status: 'past_due' }, nothing],
    ['what fits and is still to be paid too', {}, { ...sub, status: 'pending' }, nothing],
    ['seats follow', {}, { ...sub, seats: 3 }, { actions: [change], fallsToFree: false }],
    ['the plan follows', {}, { ...sub, plan: 'pro' }, { actions: [change], fallsToFree: false }],
    [
      'a strange price is replaced',
      {},
      { ...sub, plan: undefined },
      { actions: [change], fallsToFree: false },
    ],
    [
      'a late payer can change',
      {},
      { ...sub, status: 'past_due', seats: 3 },
      { actions: [change], fallsToFree: false },
    ],
    [
      'one that waits for its first payment is replaced',
      {},
      { ...sub, status: 'pending', seats: 3 },
      { actions: [cancel, create], fallsToFree: false },
    ],
    ['free ends it', { plan: 'free' }, sub, { actions: [cancel], fallsToFree: false }],
    ['enterprise ends it', { plan: 'enterprise' }, sub, { actions: [cancel], fallsToFree: false }],
    ['deletion ends it', { status: 'deleting' }, sub, { actions: [cancel], fallsToFree: false }],
    ['a deleted org has none', { status: 'deleted' }, sub, { actions: [cancel], fallsToFree: false }],
    ['free needs none', { plan: 'free' }, undefined, nothing],
    ['what is over need not be ended', { plan: 'free' }, over, nothing],
    ['ended there: free', {}, over, { actions: [], fallsToFree: true }],
    ['ended by us: a new one', {}, { ...over, endedByUs: true }, { actions: [create], fallsToFree: false }],
    [
      'ended there, noted, and upgraded again: a new one',
      { billedPlan: null },
      over,
      { actions: [create], fallsToFree: false },
    ],
    ['unknown there: a new one', {}, undefined, { actions: [create], fallsToFree: false }],
    ['a closed org falls nowhere', { status: 'deleting' }, over, nothing],
  ];
  for (const [name, org, found, plan] of rows)
    it(name, () => assert.deepEqual(planBilling({ ...team, ...org }, found), plan));

  it('reaches in one step what needs no other', () => {
    const plans = fc.constantFrom('free', 'pro', 'team', 'enterprise');
    const orgs: fc.Arbitrary<BillableOrg> = fc.record({
      status: fc.constantFrom('active', 'active', 'deleting', 'deleted'),
      plan: plans,
      seats: fc.integer({ min: 1, max: 9 }),
      billedPlan: fc.constantFrom(null, 'pro', 'team'),
      billingStatus: fc.constantFrom('none', 'pending', 'active', 'past_due', 'cancelled'),
    });
    const subs: fc.Arbitrary<Subscription> = fc.record({
      id: fc.constant('sub_1'),
      status: fc.constantFrom('pending', 'active', 'past_due', 'cancelled'),
      plan: fc.constantFrom('pro', 'team', undefined),
      seats: fc.integer({ min: 0, max: 9 }),
      endedByUs: fc.boolean(),
    });
    fc.assert(
      fc.property(orgs, fc.option(subs, { nil: undefined }), (org, found) => {
        const plan = planBilling(org, found);
        const after = carriedOut(plan, found);
        const live = after !== undefined && after.status !== 'cancelled' ? after : undefined;
        const settled = {
          ...org,
          plan: plan.fallsToFree ? 'free' : org.plan,
          billedPlan: live?.plan ?? null,
          billingStatus: statusAfter(org, after, plan.fallsToFree),
        };
        assert.deepEqual(planBilling(settled, after), nothing);
        assert.equal(statusAfter(settled, after, false), settled.billingStatus);
        const billed = settled.status === 'active' && isPaidPlan(settled.plan);
        assert.deepEqual(live && [live.plan, live.seats], billed ? [settled.plan, settled.seats] : undefined);
      }),
    );
  });
});

/** The provider's rules: what is over or waits for its first payment cannot be changed. */
function carriedOut(plan: BillingPlan, found: Subscription | undefined): Subscription | undefined {
  let now = found;
  for (const action of plan.actions) {
    if (action.kind === 'create') {
      assert.ok(now === undefined || now.status === 'cancelled', 'there is never a second one');
      const { plan: wished, seats } = action;
      now = { id: 'sub_2', status: 'active', plan: wished, seats, endedByUs: false };
      continue;
    }
    assert.ok(now !== undefined && now.id === action.subscriptionId && now.status !== 'cancelled');
    if (action.kind === 'cancel') now = { ...now, status: 'cancelled', endedByUs: true };
    else {
      assert.notEqual(now.status, 'pending');
      now = { ...now, plan: action.plan, seats: action.seats };
    }
  }
  return now;
}
