/**
 * Goal: whatever the order and repetition of the receipts of one message, its end is the same, and it is the right one.
 * Method: laws over generated receipts (any permutation, repetition and grouping), an independent model of the rule,
 * and the cases of the rule by name.
 */

import assert from 'node:assert/strict';
import {
  endsMessage,
  isKnownStage,
  type KnownStage,
  MOVES,
  STAGE_RULES,
  standingOf,
} from '@fleetwire/contract';
import type { Hop, Proof, Receipt } from '@fleetwire/gen/message';
import { Receipt as ReceiptCodec, Stage } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { HOPS_MAX, isUnited, uniteHops } from '../src/domain/hops.ts';
import type { Settlement } from '../src/domain/settlement.ts';
import {
  attemptOf,
  attemptSettlement,
  contradicts,
  mergedReceipt,
  mergeSettlements,
  restoreSettlement,
  settlementOf,
} from '../src/domain/settlement.ts';

const STAGES = Object.values(Stage).filter(isKnownStage);

const hop = (stage: Stage, atUs: number, more: Partial<Hop> = {}): Hop => ({
  stage,
  service: 'node',
  instance: 'n_b',
  atUs,
  reason: '',
  detail: '',
  attempt: 0,
  ...more,
});

const receipt = (stage: Stage, hops: Hop[], more: Partial<Receipt> = {}): Receipt => ({
  ...ReceiptCodec.fromPartial({}),
  stage,
  hops,
  ...more,
});

const settle = (stage: KnownStage, atUs: number, final = false): Settlement =>
  settlementOf(receipt(stage, [hop(stage, atUs)], { final }), 'n_b', 999)!;

const merge = (...all: Settlement[]): Settlement => all.reduce((a, b) => mergeSettlements(a, b));

const plain = { noNullPrototype: true } as const;

const anyHop = fc.record(
  {
    stage: fc.constantFrom(...STAGES),
    service: fc.constantFrom('node', 'router', 'delivery'),
    instance: fc.constantFrom('n_a', 'n_b'),
    atUs: fc.integer({ min: 1, max: 9 }),
    reason: fc.constantFrom('', 'INBOX_FULL', 'TTL_EXPIRED'),
    detail: fc.constantFrom('', 'x'),
    attempt: fc.constantFrom(0, 0, 1, 2),
  },
  plain,
);

const anyProof = fc.record(
  {
    source: fc.constantFrom('tmux', 'stdio'),
    matched: fc.constantFrom('', 'a line', 'another'),
    injectedAtUs: fc.integer({ min: 0, max: 2 }),
    detectedAtUs: fc.integer({ min: 1, max: 3 }),
    place: fc.constantFrom('', 'pane %1'),
  },
  plain,
);

const anyReceipt = fc
  .record(
    {
      stage: fc.constantFrom(...STAGES),
      final: fc.boolean(),
      reason: fc.constantFrom('', 'INBOX_FULL'),
      detail: fc.constantFrom('', 'y'),
      to: fc.constantFrom('', 'bob', 'bob@laptop'),
      fromAgent: fc.constantFrom('', 'a_1'),
      correlationId: fc.constantFrom('', 'c'),
      recipientName: fc.constantFrom('', 'bob'),
      fanOut: fc.constantFrom(0, 0, 2, 3),
      attempt: fc.constantFrom(0, 0, 1, 2),
      hops: fc.array(anyHop, { maxLength: 5 }),
      proof: fc.option(anyProof as fc.Arbitrary<Proof>, { nil: undefined }),
    },
    plain,
  )
  .map((fields) => receipt(fields.stage as Stage, fields.hops as Hop[], fields as Partial<Receipt>));

const anySettlement = fc
  .tuple(anyReceipt, fc.constantFrom('n_a', 'n_b', 'router', 'delivery'), fc.integer({ min: 1, max: 9 }))
  .map(([value, publisher, storedAtUs]) => settlementOf(value, publisher, storedAtUs)!);

describe('settlement: laws of the merge', () => {
  it('any order and any repetition of the same receipts ends the same', () => {
    const cases = fc.array(anySettlement, { minLength: 1, maxLength: 6 }).chain((all) => {
      const twice = [...all, ...all];
      const shuffled = fc.shuffledSubarray(twice, { minLength: twice.length, maxLength: twice.length });
      return fc.tuple(fc.constant(all), shuffled);
    });
    fc.assert(
      fc.property(cases, ([all, shuffled]) => {
        assert.deepEqual(merge(...shuffled), merge(...all));
      }),
      { numRuns: 3000 },
    );
  });

  it('is associative, so batches and rows may be merged in any grouping', () => {
    fc.assert(
      fc.property(anySettlement, anySettlement, anySettlement, (a, b, c) => {
        assert.deepEqual(
          mergeSettlements(mergeSettlements(a, b), c),
          mergeSettlements(a, mergeSettlements(b, c)),
        );
      }),
      { numRuns: 3000 },
    );
  });

  it('survives being kept as one receipt and read back', () => {
    fc.assert(
      fc.property(fc.array(anySettlement, { minLength: 1, maxLength: 5 }), anySettlement, (all, later) => {
        const merged = merge(...all);
        const bytes = ReceiptCodec.encode(mergedReceipt('m', 'a_1', merged)).finish();
        const back = restoreSettlement(ReceiptCodec.decode(bytes), merged.deliveredEnds, merged.publishers);
        assert.deepEqual(back, merged);
        assert.deepEqual(mergeSettlements(back, later), mergeSettlements(merged, later));
      }),
    );
  });

  it('never goes back from an end to no end, nor to an earlier stage without one, but by a later attempt', () => {
    fc.assert(
      fc.property(anySettlement, anySettlement, (a, b) => {
        const merged = mergeSettlements(a, b);
        const attempt = Math.max(attemptOf(a.hops), attemptOf(b.hops));
        assert.equal(attemptOf(merged.hops), attempt);
        const deciding = [a, b].filter(({ hops }) => attemptOf(hops) === attempt);
        // A claim that `delivered` is the end counts for whoever said delivered.
        if (deciding.some(({ final }) => final)) assert.equal(merged.final, true);
        else if (merged.final) assert.equal(merged.deliveredEnds, true);
        if (!merged.final) {
          const latest = Math.max(...deciding.map(({ stage }) => STAGE_RULES[stage].rank));
          assert.equal(STAGE_RULES[merged.stage].rank, latest);
        }
      }),
    );
  });

  it('shows the first end by time, or proof where the first end can be upgraded', () => {
    fc.assert(
      fc.property(fc.array(anySettlement, { minLength: 1, maxLength: 6 }), (all) => {
        const merged = merge(...all);
        const attempt = attemptOf(merged.hops);
        const ends = merged.hops.filter(
          (h) => h.attempt === attempt && endsMessage(h.stage as KnownStage, merged.deliveredEnds),
        );
        if (ends.length === 0) return assert.equal(merged.final, false);
        const firstAt = Math.min(...ends.map((h) => h.atUs));
        const proved = ends.some((h) => h.stage === Stage.CONFIRMED);
        if (merged.stage === Stage.CONFIRMED) return assert.ok(proved);
        assert.equal(merged.atUs, firstAt);
        if (proved) assert.equal(merged.stage, Stage.DEAD);
      }),
    );
  });

  it('keeps at most so many hops, and what decides the end among them', () => {
    const many = Array.from({ length: 3 * HOPS_MAX }, (_, i) => hop(Stage.ROUTED, i + 1));
    const merged = mergeSettlements(
      settlementOf(receipt(Stage.ROUTED, many), 'n_b', 1)!,
      settle(Stage.EXPIRED, 7),
    );
    assert.equal(merged.hops.length, HOPS_MAX);
    assert.equal(merged.stage, Stage.EXPIRED);
    assert.ok(isUnited(merged.hops));
  });
});

describe('settlement: the table of moves', () => {
  const ALL = STAGES.flatMap((stage) =>
    STAGE_RULES[stage].final === 'claimed'
      ? [[stage, false] as const, [stage, true] as const]
      : [[stage, false] as const],
  );
  for (const [from, ends] of ALL)
    it(`from ${standingOf(from, endsMessage(from, ends))}: two receipts end as the table says`, () => {
      for (const [to, alsoEnds] of ALL)
        for (const later of [5, 1]) {
          const a = settle(from, 3, ends);
          const b = settle(to, later, alsoEnds);
          const both = mergeSettlements(a, b);
          const move = MOVES[standingOf(a.stage, a.final)][standingOf(b.stage, b.final)];
          const stays = {
            repeats: a,
            late: a,
            'goes on': b,
            ends: b,
            upgrades: b,
            contradicts: later > 3 ? a : b,
          }[move];
          // Of delivered, which one receipt names as the end, every hop is one.
          const expected = from === to && ends !== alsoEnds ? settle(from, 3, true) : stays;
          assert.deepEqual(
            [both.stage, both.final],
            [expected.stage, expected.final],
            `${from} ${to} ${later}`,
          );
          assert.equal(contradicts(a, b), move === 'contradicts');
        }
    });
});

describe('settlement: the rule case by case', () => {
  it('the later stage wins while there is no end', () => {
    const merged = merge(settle(Stage.DELIVERED, 3), settle(Stage.ROUTED, 9), settle(Stage.HELD, 5));
    assert.deepEqual([merged.stage, merged.final, merged.atUs], [Stage.DELIVERED, false, 3]);
  });

  it('the first end wins over ends that come later in time, whichever arrives first', () => {
    const merged = merge(settle(Stage.EXPIRED, 9), settle(Stage.RETURNED, 5), settle(Stage.UNCONFIRMED, 7));
    assert.deepEqual([merged.stage, merged.final, merged.atUs], [Stage.RETURNED, true, 5]);
  });

  it('an end wins over any stage that is none', () => {
    const merged = merge(settle(Stage.EXPIRED, 1), settle(Stage.DELIVERED, 9));
    assert.deepEqual([merged.stage, merged.final], [Stage.EXPIRED, true]);
  });

  for (const stage of [Stage.UNCONFIRMED, Stage.EXPIRED, Stage.RETURNED] as const)
    it(`later proof upgrades ${STAGE_RULES[stage].name}`, () => {
      const merged = merge(settle(stage, 5), settle(Stage.CONFIRMED, 8));
      assert.deepEqual([merged.stage, merged.atUs], [Stage.CONFIRMED, 8]);
      assert.ok(
        merged.hops.some((h) => h.stage === stage),
        'the trace still shows it',
      );
    });

  it('dead stays dead, unless proof came before it', () => {
    assert.equal(merge(settle(Stage.DEAD, 5), settle(Stage.CONFIRMED, 8)).stage, Stage.DEAD);
    assert.equal(merge(settle(Stage.DEAD, 8), settle(Stage.CONFIRMED, 5)).stage, Stage.CONFIRMED);
  });

  it('what died is under way again by a later attempt, and ends as that one does; nothing of the first is lost', () => {
    const dead = settle(Stage.DEAD, 5);
    const again = (stage: KnownStage, atUs: number) =>
      settlementOf(receipt(stage, [hop(stage, atUs, { attempt: 1 })], { attempt: 1 }), 'n_b', 999)!;
    const underWay = merge(again(Stage.ACCEPTED, 9), dead);
    assert.deepEqual([underWay.stage, underWay.final], [Stage.ACCEPTED, false]);
    const proved = merge(again(Stage.CONFIRMED, 12), dead, again(Stage.ACCEPTED, 9), dead);
    assert.deepEqual([proved.stage, proved.final, proved.atUs], [Stage.CONFIRMED, true, 12]);
    assert.deepEqual(
      proved.hops.map((h) => [h.attempt, h.stage]),
      [
        [0, Stage.DEAD],
        [1, Stage.ACCEPTED],
        [1, Stage.CONFIRMED],
      ],
    );
    const late = merge(proved, settle(Stage.HELD, 20));
    assert.deepEqual(
      [late.stage, late.atUs],
      [Stage.CONFIRMED, 12],
      'what the first says later changes nothing',
    );
  });

  it('keeps the first proof, and with it nothing of another', () => {
    const proof = {
      source: 'tmux',
      matched: 'seen',
      injectedAtUs: 3,
      detectedAtUs: 5,
      place: 'p',
      attempt: 0,
    };
    const at = (atUs: number, more?: Partial<Proof>) =>
      settlementOf(
        receipt(Stage.CONFIRMED, [hop(Stage.CONFIRMED, atUs)], { proof: more && { ...proof, ...more } }),
        'n_b',
        999,
      )!;
    const both = merge(at(9, { detectedAtUs: 9, matched: 'later' }), at(5, {}));
    assert.deepEqual([both.stage, both.atUs, both.proof], [Stage.CONFIRMED, 5, proof]);
    assert.deepEqual(merge(settle(Stage.UNCONFIRMED, 2, true), at(5, {})).proof, proof);
    assert.equal(merge(settle(Stage.UNCONFIRMED, 2, true), at(5)).proof, undefined);
  });

  it('keeps the proof of the latest attempt, and shows none with another', () => {
    const proof = {
      source: 'tmux',
      matched: 'seen',
      injectedAtUs: 3,
      detectedAtUs: 5,
      place: 'p',
      attempt: 0,
    };
    const at = (attempt: number, detectedAtUs: number) => {
      const hops = [hop(Stage.CONFIRMED, detectedAtUs, { attempt })];
      const told = receipt(Stage.CONFIRMED, hops, { attempt, proof: { ...proof, detectedAtUs } });
      return settlementOf(told, 'n_b', 999)!;
    };
    const both = merge(at(0, 5), at(1, 9));
    assert.deepEqual(both.proof, { ...proof, attempt: 1, detectedAtUs: 9 });
    assert.deepEqual(attemptSettlement(both, 1)?.proof, both.proof);
    assert.equal(attemptSettlement(both, 0)?.proof, undefined);
    const kept = restoreSettlement(mergedReceipt('m', 'a_1', both), false, ['n_b']);
    assert.deepEqual(merge(kept, at(0, 5)).proof, both.proof);
  });

  it('delivered is an end only where the receipt says so', () => {
    assert.equal(settle(Stage.DELIVERED, 5, false).final, false);
    assert.equal(settle(Stage.DELIVERED, 5, true).final, true);
    assert.equal(merge(settle(Stage.DELIVERED, 5, true), settle(Stage.EXPIRED, 8)).stage, Stage.DELIVERED);
  });

  it('a receipt without a hop of its stage gets one from its publisher and the time it was stored', () => {
    const made = settlementOf(receipt(Stage.RETURNED, [], { reason: 'INBOX_FULL' }), 'router', 42)!;
    const expected = { service: 'router', instance: 'router', reason: 'INBOX_FULL' };
    assert.deepEqual(made.hops, [hop(Stage.RETURNED, 42, expected)]);
    assert.equal(made.reason, 'INBOX_FULL');
  });

  it('a stage of a newer schema, or none, is refused', () => {
    assert.equal(settlementOf(receipt(Stage.UNSPECIFIED, []), 'n_b', 1), undefined);
    assert.equal(settlementOf(receipt(17 as Stage, []), 'n_b', 1), undefined);
  });

  it('unites hops along the way though a clock is a little behind', () => {
    const united = uniteHops(
      [hop(Stage.CONFIRMED, 90), hop(Stage.HELD, 95)],
      [hop(Stage.ACCEPTED, 92), hop(Stage.HELD, 95), hop(Stage.ROUTED, 91)],
    );
    assert.deepEqual(
      united.map((h) => h.stage),
      [Stage.ACCEPTED, Stage.ROUTED, Stage.HELD, Stage.CONFIRMED],
    );
  });
});
