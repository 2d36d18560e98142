/**
 * Goal: an org that holds more of ingress than its budget is found by counts and drawn sizes, and nobody else is ever told; the
 * watch survives a server that does not answer. Method: streams at random whose bytes are known, a watch over one of them.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { ingressSubject } from '@fleetwire/contract';
import { pause } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import fc from 'fast-check';
import { afterEach, describe, it } from 'mocha';
import type { Busy } from '../src/domain/busy-notices.ts';
import {
  isFuller,
  overBudget,
  SampledSizes,
  SIZES_ENOUGH,
  suspectsOf,
} from '../src/domain/ingress-budget.ts';
import { IngressWatch } from '../src/handlers/ingress-watch.ts';

const MiB = 2 ** 20;
const from = (org: string, node = 'n_1', partition = 0) => ingressSubject.build({ partition, org, node });

/** A stream that may hold 1000 MiB: by subject, messages and the payload of each. */
function streamOf(held: Record<string, readonly [messages: number, bytes: number]>) {
  const subjects = new Map(Object.entries(held).map(([subject, [messages]]) => [subject, messages]));
  const bytes = Object.values(held).reduce((sum, [messages, each]) => sum + messages * (each + 200), 0);
  return {
    bytes,
    maxBytes: 1000 * MiB,
    subjects,
    messages: 0,
    firstSequence: 1,
    lastSequence: 1,
    created: '',
  };
}

function sizesOf(sizes: Record<string, number>, count = SIZES_ENOUGH): SampledSizes {
  const sampled = new SampledSizes();
  for (const [org, bytes] of Object.entries(sizes)) for (let i = 0; i < count; i++) sampled.note(org, bytes);
  return sampled;
}

function orgsOver(stream: ReturnType<typeof streamOf>, sizes: SampledSizes, percent = 50): string[] {
  return overBudget(suspectsOf(stream, percent), sizes, stream, percent).map(({ org }) => org);
}

describe('the budget of an org', () => {
  it('is held against the sum over its nodes', () => {
    const stream = streamOf({
      [from('o_a')]: [400, MiB],
      [from('o_a', 'n_2', 3)]: [200, MiB],
      [from('o_b')]: [300, MiB],
    });
    const over = overBudget(suspectsOf(stream, 50), sizesOf({ o_a: MiB, o_b: MiB }), stream, 50);
    assert.deepEqual(over, [
      {
        org: 'o_a',
        bytes: 600 * (MiB + 200),
        nodes: [
          { partition: 0, org: 'o_a', node: 'n_1' },
          { partition: 3, org: 'o_a', node: 'n_2' },
        ],
      },
    ]);
  });

  it('goes by bytes: few large messages weigh more than many small ones', () => {
    const stream = streamOf({ [from('o_large')]: [600, MiB], [from('o_small')]: [20_000, 300] });
    assert.deepEqual(orgsOver(stream, sizesOf({ o_large: MiB, o_small: 300 })), ['o_large']);
  });

  it('judges nobody of whom too few messages are known, however many it has', () => {
    const stream = streamOf({ [from('o_large')]: [600, MiB], [from('o_small')]: [20_000, 300] });
    assert.deepEqual(orgsOver(stream, new SampledSizes()), []);
    assert.deepEqual(orgsOver(stream, sizesOf({ o_large: MiB }, SIZES_ENOUGH - 1)), []);
  });

  it('suspects only who could hold so much', () => {
    const stream = streamOf({
      [from('o_few')]: [100, MiB],
      [from('o_many')]: [251, 1],
      'not.ingress': [9999, 1],
    });
    assert.deepEqual(
      suspectsOf(stream, 50).map(({ org }) => org),
      ['o_many'],
    );
    assert.deepEqual(suspectsOf({ ...stream, maxBytes: -1 }, 50), []);
  });

  it('is never said to be exceeded by who does not exceed it, whatever others hold', () => {
    const subject = fc.tuple(fc.nat(3), fc.nat(3)).map(([org, node]) => from(`o_${org}`, `n_${node}`));
    const messages = fc.integer({ min: 1, max: 100_000 });
    const sizes = fc.array(fc.integer({ min: 0, max: MiB }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.dictionary(subject, messages, { maxKeys: 12 }), sizes, (counts, bytesOf) => {
        const sizeIn = (each: string) => bytesOf[Number(/o_(\d)/.exec(each)![1])]!;
        const held = Object.entries(counts).map(([each, count]) => [each, [count, sizeIn(each)]] as const);
        const stream = streamOf(Object.fromEntries(held));
        const truly = (org: string) =>
          held.reduce(
            (sum, [each, [count, bytes]]) => sum + (each.includes(`.${org}.`) ? count * (bytes + 200) : 0),
            0,
          );
        const drawn = sizesOf(Object.fromEntries(bytesOf.map((bytes, org) => [`o_${org}`, bytes])));
        for (const org of ['o_0', 'o_1', 'o_2', 'o_3'])
          assert.equal(orgsOver(stream, drawn).includes(org), truly(org) > 500 * MiB);
      }),
    );
  });

  it('is taken from the last messages drawn', () => {
    const sizes = sizesOf({ o_a: MiB }, 10_000);
    for (let i = 0; i < 128; i++) sizes.note('o_a', 100);
    assert.equal(sizes.meanOf('o_a'), 300, 'with what is around it');
    sizes.keepOnly(new Set(['o_b']));
    assert.equal(sizes.meanOf('o_a'), undefined);
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
  const A1 = from('o_a');
  const A2 = from('o_a', 'n_2', 1);
  const B = from('o_b');
  /** Messages one behind the other. */
  const times = (count: number, subject: string, bytes: number) =>
    Array.from({ length: count }, () => ({ subject, bytes }));
  const full = [...times(599, A1, MiB), ...times(1, A2, MiB), ...times(2000, B, 300)];

  interface Placed {
    readonly subject: string;
    readonly bytes: number;
  }

  function holdingsOf(stream: readonly Placed[]) {
    const held: Record<string, [number, number]> = {};
    let sum = 0;
    for (const { subject, bytes } of stream) {
      held[subject] = [(held[subject]?.[0] ?? 0) + 1, 0];
      sum += bytes + 200;
    }
    return { ...streamOf(held), bytes: sum, firstSequence: 1, lastSequence: stream.length };
  }
  const log = { warn: () => {}, info: () => {}, error: () => {} } as never;

  /** `fault` says whether a question for the state fails, by its number, or is never answered. */
  function watchOver(
    fault: (question: number) => 'error' | 'silence' | undefined,
    several = true,
    stream: readonly Placed[] = full,
  ) {
    const holdings = holdingsOf(stream);
    const asked: string[] = [];
    const sent: Busy[] = [];
    const state = async () => {
      asked.push('state');
      const how = fault(asked.filter((what) => what === 'state').length);
      if (how === 'silence') await new Promise(() => {});
      if (how === 'error') throw new Error('away');
      return holdings;
    };
    const countBySubject = async () => {
      asked.push('count');
      return holdings;
    };
    const get = async (_: string, sequence: number) => {
      asked.push('draw');
      const { subject, bytes } = stream[sequence - 1]!;
      return { subject, data: { length: bytes } };
    };
    watch = new IngressWatch({
      broker: {
        streams: { state, countBySubject },
        messages: { get: get as unknown as Broker['messages']['get'] },
        connected: () => true,
      },
      frames: { send: (busy) => void sent.push(busy) },
      severalOrgs: () => several,
      watchPercent: 50,
      orgPercent: 50,
      intervalMs: 5,
      log,
    });
    watch.start();
    return { asked, sent, watch };
  }

  it('tells all nodes of who holds too much, again and again, and nobody else', async () => {
    const { sent } = watchOver(() => undefined);
    await eventually(() => sent.length >= 6);
    const told = { org: 'o_a', reason: 'ingress_budget', retryAfterMs: 15 };
    assert.deepEqual(sent.slice(0, 2), [
      { ...told, node: 'n_1' },
      { ...told, node: 'n_2' },
    ]);
    assert.ok(sent.every(({ org }) => org === 'o_a'));
  });

  it('judges by all that an org has, however it lies between what others send', async () => {
    // What lies in bursts, and what lies alone, is drawn by how much of it there is.
    const [modest, greedy, other] = [from('o_modest'), from('o_greedy'), from('o_other')];
    const bursts = Array.from({ length: 8 }, () => [
      ...times(100, greedy, MiB),
      ...times(150, other, 300),
      ...times(2, modest, MiB),
    ]);
    const stream = [...times(1500, modest, 200), ...bursts.flat()];
    const { sent, watch: over, asked } = watchOver(() => undefined, true, stream);
    await eventually(() => asked.filter((what) => what === 'state').length > 20);
    assert.equal(over.figures.over_budget, 1);
    assert.deepEqual(new Set(sent.map(({ org }) => org)), new Set(['o_greedy']));
  });

  it('stands by what it found while looks fail, but not for long', async () => {
    let away = false;
    const { sent, watch: over } = watchOver(() => (away ? 'error' : undefined));
    await eventually(() => sent.length > 0);
    away = true;
    const before = sent.length;
    await eventually(() => over.figures.over_budget === 0);
    // Five looks, for two nodes each; one may just have been under way.
    assert.ok([2 * 5, 2 * 6].includes(sent.length - before), `${sent.length - before}`);
  });

  it('has one question under way while there is no answer', async () => {
    const { asked } = watchOver((question) => (question === 2 ? 'silence' : undefined));
    await eventually(() => asked.filter((what) => what === 'state').length === 2);
    const before = asked.length;
    await pause(50);
    assert.equal(asked.length, before);
  });

  it('looks no further while there is room, or one org is alone, but always knows how full it is', async () => {
    const roomy = watchOver(() => undefined, true, times(400, A1, MiB));
    await eventually(() => roomy.asked.length >= 3);
    assert.deepEqual([new Set(roomy.asked), roomy.sent], [new Set(['state']), []]);
    assert.equal(roomy.watch.figures.percent, 40);
    roomy.watch.stop();
    const alone = watchOver(() => undefined, false);
    await eventually(() => alone.asked.length >= 3);
    assert.deepEqual([new Set(alone.asked), alone.sent], [new Set(['state']), []]);
    assert.equal(alone.watch.figures.percent, 60);
  });
});
