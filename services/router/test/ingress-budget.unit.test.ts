/**
 * Goal: an org that holds more of ingress than its budget is found by counts and sizes, and nobody else; the watch survives a
 * server that does not answer. Method: holdings by number and at random, a watch over a stream in the hands of the test.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { ingressSubject } from '@fleetwire/contract';
import { pause } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import fc from 'fast-check';
import { afterEach, describe, it } from 'mocha';
import type { Busy } from '../src/domain/busy-notices.ts';
import { isFuller, MessageSizes, overBudget } from '../src/domain/ingress-budget.ts';
import { IngressWatch } from '../src/handlers/ingress-watch.ts';

const from = (org: string, node = 'n_1', partition = 0) => ingressSubject.build({ partition, org, node });
const none = new MessageSizes();
const log = { warn: () => {}, info: () => {}, error: () => {} } as never;

function holdings(bytes: number, counts: Record<string, number>, unlisted = 0) {
  const subjects = new Map(Object.entries(counts));
  const messages = [...subjects.values()].reduce((sum, count) => sum + count, unlisted);
  return { messages, bytes, maxBytes: 1000_000, subjects };
}

function sizesOf(seen: Record<string, number>): MessageSizes {
  const sizes = new MessageSizes();
  sizes.on = true;
  for (const [subject, bytes] of Object.entries(seen)) sizes.note(subject, bytes);
  return sizes;
}

const orgs = (...args: Parameters<typeof overBudget>) => overBudget(...args).map(({ org }) => org);

describe('the budget of an org', () => {
  it('is held against the sum over its nodes, of messages as large as the mean where none was seen', () => {
    const counts = { [from('o_a')]: 50, [from('o_a', 'n_2', 3)]: 20, [from('o_b')]: 30 };
    assert.deepEqual(overBudget(holdings(800_000, counts), none, 50), [
      {
        org: 'o_a',
        bytes: 560_000,
        nodes: [
          { partition: 0, org: 'o_a', node: 'n_1' },
          { partition: 3, org: 'o_a', node: 'n_2' },
        ],
      },
    ]);
    assert.deepEqual(orgs(holdings(800_000, counts), none, 60), []);
    assert.deepEqual(orgs(holdings(800_000, counts), none, 20), ['o_a', 'o_b']);
  });

  it('goes by sizes: few large messages weigh more than many small ones', () => {
    const counts = { [from('o_large')]: 10, [from('o_small')]: 990 };
    assert.deepEqual(orgs(holdings(800_000, counts), none, 50), ['o_small']);
    const both = sizesOf({ [from('o_large')]: 60_000, [from('o_small')]: 1 });
    assert.deepEqual(orgs(holdings(800_000, counts), both, 50), ['o_large']);
  });

  it('is as well known where the other org is seen by another router', () => {
    const counts = { [from('o_large')]: 10, [from('o_small')]: 990 };
    for (const seen of [{ [from('o_large')]: 60_000 }, { [from('o_small')]: 1 }])
      assert.deepEqual(orgs(holdings(800_000, counts), sizesOf(seen), 50), ['o_large']);
  });

  it('is not exceeded by what the list of subjects lacks', () => {
    assert.deepEqual(orgs(holdings(800_000, { [from('o_a')]: 50 }, 50), none, 50), []);
    assert.deepEqual(orgs(holdings(800_000, { [from('o_a')]: 50, 'not.ingress': 50 }, 0), none, 50), []);
  });

  it('is never exceeded by two beyond half, nor in an empty or unbounded stream, whatever was seen', () => {
    const subject = fc.tuple(fc.nat(3), fc.nat(3)).map(([org, node]) => from(`o_${org}`, `n_${node}`));
    const counts = fc.dictionary(subject, fc.integer({ min: 1, max: 10_000 }), { maxKeys: 12 });
    const seen = fc.dictionary(subject, fc.integer({ min: 1, max: 2 ** 21 }), { maxKeys: 12 });
    fc.assert(
      fc.property(counts, seen, fc.integer({ min: 0, max: 1_000_000 }), (some, sizes, bytes) => {
        const all = overBudget({ ...holdings(bytes, some), maxBytes: 1 }, sizesOf(sizes), 0);
        assert.ok(all.reduce((sum, org) => sum + org.bytes, 0) <= bytes);
        assert.ok(orgs(holdings(bytes, some), sizesOf(sizes), 50).length <= 1);
        assert.deepEqual(orgs(holdings(0, some), sizesOf(sizes), 50), []);
        assert.deepEqual(orgs({ ...holdings(bytes, some), maxBytes: -1 }, sizesOf(sizes), 1), []);
      }),
    );
  });

  it('needs sizes only while the stream is full: off, nothing is noted, and what was is forgotten', () => {
    const sizes = new MessageSizes();
    sizes.note(from('o_a'), 100);
    assert.equal(sizes.size, 0);
    sizes.on = true;
    for (const bytes of [100, 300]) sizes.note(from('o_a'), bytes);
    assert.equal(sizes.meanOf(from('o_a')), 200 + 200, 'with what is around it');
    assert.equal(sizes.meanOf(from('o_b')), undefined);
    for (let n = 0; n < 20_000; n++) sizes.note(from('o_a', `n_${n}`), 1);
    assert.equal(sizes.size, 10_000);
    sizes.on = false;
    assert.equal(sizes.size, 0);
  });

  it('is looked at beyond the bound only', () => {
    const fuller = (bytes: number) => isFuller({ bytes, maxBytes: 1000 }, 50);
    assert.deepEqual([fuller(500), fuller(501)], [false, true]);
    assert.equal(isFuller({ bytes: 1, maxBytes: -1 }, 50), false);
  });
});

describe('the watch over ingress', () => {
  let watch: IngressWatch | undefined;
  afterEach(() => watch?.stop());

  /** Every `answer` is given to one question; none: that question is never answered. */
  function watchOver(answers: (() => Promise<unknown>)[], more: { several?: boolean } = {}) {
    const asked: string[] = [];
    const sent: Busy[] = [];
    const answer = (what: string) => {
      asked.push(what);
      return answers.shift()?.() ?? new Promise(() => {});
    };
    const streams = { state: () => answer('state'), countBySubject: () => answer('count') };
    watch = new IngressWatch({
      broker: { streams: streams as unknown as Broker['streams'], connected: () => true },
      sizes: new MessageSizes(),
      frames: { send: (busy) => void sent.push(busy) },
      severalOrgs: () => more.several ?? true,
      partitions: () => [0],
      watchPercent: 50,
      orgPercent: 50,
      intervalMs: 5,
      log,
    });
    watch.start();
    return { asked, sent, watch };
  }
  const full = holdings(800_000, { [from('o_a')]: 70, [from('o_a', 'n_2', 1)]: 1, [from('o_b')]: 30 });

  it('tells the nodes of its own partitions, again and again', async () => {
    const { asked, sent } = watchOver(Array.from({ length: 4 }, () => async () => full));
    await eventually(() => asked.length === 5);
    const told = { org: 'o_a', node: 'n_1', reason: 'ingress_budget', retryAfterMs: 10 };
    assert.deepEqual(sent, [told, told]);
    assert.deepEqual(asked, ['state', 'count', 'state', 'count', 'state']);
  });

  it('goes on after an error, and has one question under way while there is no answer', async () => {
    const away = async () => Promise.reject(new Error('away'));
    const ok = async () => full;
    const { asked, sent } = watchOver([away, away, ok, away, ok, ok]);
    await eventually(() => sent.length === 1);
    await eventually(() => asked.length === 7);
    await pause(50);
    assert.equal(asked.length, 7);
    watch!.stop();
  });

  it('looks no further while there is room, and asks nothing while one org is alone', async () => {
    const roomy = watchOver([async () => holdings(400_000, { [from('o_a')]: 1 })]);
    await eventually(() => roomy.asked.length === 2);
    assert.deepEqual([roomy.asked, roomy.sent], [['state', 'state'], []]);
    roomy.watch.stop();
    const alone = watchOver([async () => full], { several: false });
    await pause(50);
    assert.deepEqual(alone.asked, []);
  });
});
