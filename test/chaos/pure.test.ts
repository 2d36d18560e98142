// Goal: a schedule is the same for the same seed and keeps its bounds, and the reconciliation finds each kind of fault.
// Method: pure functions, with seeds at random and with ledgers that are broken in one place.

import { strict as assert } from 'node:assert';
import { randomOf } from '@fleetwire/testkit';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { planOf } from './plan.ts';
import { type Accepted, type Ledger, reconcile } from './reconcile.ts';
import { type ScheduleOptions, type Step, schedule } from './schedule.ts';

const OPTIONS: ScheduleOptions = { routers: 4, leaseMs: 10_000 };

function stepsOf(seed: number, count: number): Step[] {
  const steps = schedule(randomOf(seed), OPTIONS);
  return Array.from({ length: count }, () => steps.next().value);
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe('a schedule', () => {
  it('is the same for the same seed', () => {
    fc.assert(fc.property(seeds, (seed) => assert.deepEqual(stepsOf(seed, 50), stepsOf(seed, 50))));
  });

  it('hits no router again before the last step is over for it', () => {
    const law = (seed: number) => {
      const over = new Map<number, number>();
      for (const { atMs, routers, forMs } of stepsOf(seed, 100))
        for (const router of routers) {
          assert.ok(atMs > (over.get(router) ?? 0));
          over.set(router, atMs + forMs);
        }
    };
    fc.assert(fc.property(seeds, law));
  });

  it('has every fault, pauses beyond the lease, and moments with no router at all', () => {
    const steps = [1, 2, 3, 4, 5].flatMap((seed) => stepsOf(seed, 100));
    for (const fault of ['kill', 'pause', 'stop']) assert.ok(steps.some((step) => step.fault === fault));
    assert.ok(steps.some(({ fault, forMs }) => fault === 'pause' && forMs > OPTIONS.leaseMs));
    assert.ok(steps.some(({ fault, forMs }) => fault === 'pause' && forMs < OPTIONS.leaseMs));
    assert.ok(steps.some(({ routers }) => routers.length === OPTIONS.routers));
  });
});

describe('a plan', () => {
  it('sends every sender to other nodes only', () => {
    const { senders, recipients } = planOf(randomOf(7), { nodes: 4, senders: 20, recipients: 20, fanOut: 5 });
    const nodeOf = new Map(recipients.map(({ name, node }) => [name, node]));
    for (const { node, to } of senders) {
      assert.equal(new Set(to).size, 5);
      assert.ok(to.every((name) => nodeOf.get(name) !== node));
    }
  });
});

describe('the reconciliation', () => {
  const accepted: Accepted[] = [0, 1, 2].map((number) => ({ from: 's', to: 'r', number, id: `id${number}` }));
  const confirmed = { stage: 'confirmed', final: true, reason: '' };
  const sound: Ledger = {
    accepted,
    received: accepted,
    history: accepted.map(({ id }) => ({ id, ...confirmed })),
    dead: [],
    left: [],
  };
  const faults = (broken: Partial<Ledger>) => reconcile({ ...sound, ...broken }).map(({ fault }) => fault);
  const [a, b, c] = accepted as [Accepted, Accepted, Accepted];
  const [first, ...others] = sound.history;

  it('finds nothing where nothing is wrong', () => assert.deepEqual(faults({}), []));
  it('finds what did not arrive', () => assert.deepEqual(faults({ received: [a, c] }), ['lost']));
  it('finds what arrived twice', () => assert.deepEqual(faults({ received: [a, b, a, c] }), ['doubled']));
  it('finds what arrived behind later mail', () =>
    assert.deepEqual(faults({ received: [a, c, b] }), ['swapped']));
  it('finds what nobody had accepted', () =>
    assert.deepEqual(faults({ received: [a, b, c, { ...c, number: 3 }] }), ['phantom']));
  it('finds what history lacks', () => assert.deepEqual(faults({ history: others }), ['untold']));
  it('finds what has no end', () =>
    assert.deepEqual(faults({ history: [{ ...first!, final: false }, ...others] }), ['open']));
  it('finds another end than confirmed', () =>
    assert.deepEqual(faults({ history: [{ ...first!, stage: 'returned' }, ...others] }), ['ended']));
  it('finds two recipients of one message', () =>
    assert.deepEqual(faults({ history: [...sound.history, first!] }), ['ends']));
  it('finds what the broker still holds', () =>
    assert.deepEqual(faults({ left: ['1 messages in INBOX'] }), ['left']));
  it('finds dead letters', () => assert.deepEqual(faults({ dead: ['id1'] }), ['dead']));
});
