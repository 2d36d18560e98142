// Goal: the machine of stages is closed, and says of every pair of stages and of every speaker what is allowed.
// Method: laws over all pairs, and the receipts of each part of the fabric, honest and not.

import { strict as assert } from 'node:assert';
import { type Hop, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import {
  endsMessage,
  isKnownStage,
  type KnownStage,
  MOVES,
  receiptFault,
  type Speaker,
  STAGE_RULES,
  type Standing,
  speakerOfService,
  standingOf,
} from '../src/index.ts';

const STAGES = Object.values(Stage).filter(
  (stage): stage is KnownStage => typeof stage === 'number' && isKnownStage(stage),
);
const STANDINGS = Object.keys(MOVES) as Standing[];
const OPEN: readonly Standing[] = ['accepted', 'routed', 'held', 'delivered'];

const hop = (stage: Stage): Hop => ({
  stage,
  service: '',
  instance: '',
  atUs: 1,
  reason: '',
  detail: '',
  attempt: 0,
});

const said = (speaker: Speaker, stage: Stage, final: boolean, ...hops: Stage[]) =>
  receiptFault({ stage, final, hops: [...hops, stage].map(hop) }, speaker);

describe('stages', () => {
  it('has a standing for each stage, and one more for delivered as an end', () => {
    const all = STAGES.flatMap((stage) => [standingOf(stage, false), standingOf(stage, true)]);
    assert.deepEqual(new Set(all), new Set(STANDINGS));
    for (const row of Object.values(MOVES)) assert.deepEqual(new Set(Object.keys(row)), new Set(STANDINGS));
  });

  it('never leads from an end to what is none, and from none to an end always', () => {
    for (const from of STANDINGS)
      for (const to of STANDINGS) {
        const move = MOVES[from][to];
        if (from === to) assert.equal(move, 'repeats');
        else if (OPEN.includes(to)) {
          const further = OPEN.includes(from) && OPEN.indexOf(to) > OPEN.indexOf(from);
          assert.equal(move, further ? 'goes on' : 'late', `${from} ${to}`);
        } else if (OPEN.includes(from)) assert.equal(move, 'ends', `${from} ${to}`);
        else assert.ok(['upgrades', 'contradicts', 'late'].includes(move), `${from} ${to}`);
      }
  });

  it('upgrades to confirmed alone, and what can be upgraded', () => {
    for (const stage of STAGES) {
      const standing = standingOf(stage, endsMessage(stage, true));
      const upgrades = STANDINGS.filter((to) => MOVES[standing][to] === 'upgrades');
      assert.deepEqual(upgrades, STAGE_RULES[stage].upgradable ? ['confirmed'] : []);
    }
  });

  it('contradicts in both directions', () => {
    for (const a of STANDINGS)
      for (const b of STANDINGS)
        assert.equal(MOVES[a][b] === 'contradicts', MOVES[b][a] === 'contradicts', `${a} ${b}`);
  });

  it('lets each part say what is its to say, with the way before it', () => {
    const { ACCEPTED, ROUTED, HELD, DELIVERED, CONFIRMED, UNCONFIRMED, EXPIRED, RETURNED, DEAD } = Stage;
    for (const end of [CONFIRMED, UNCONFIRMED, EXPIRED, RETURNED, DEAD])
      assert.equal(said('recipient', end, true, ACCEPTED, ROUTED, HELD, DELIVERED), undefined);
    assert.equal(said('recipient', HELD, false, ACCEPTED, ROUTED), undefined);
    assert.equal(said('recipient', DELIVERED, true, ACCEPTED, ROUTED, HELD), undefined);
    assert.equal(said('router', ROUTED, false, ACCEPTED), undefined);
    for (const end of [EXPIRED, RETURNED, DEAD]) assert.equal(said('router', end, true, ACCEPTED), undefined);
    assert.equal(said('registry', RETURNED, true, ACCEPTED, ROUTED), undefined);
    assert.equal(said('delivery', EXPIRED, true, ACCEPTED, ROUTED), undefined);
    assert.equal(said('delivery', RETURNED, true, ACCEPTED), undefined);
    assert.equal(said('sender', EXPIRED, true, ACCEPTED), undefined);
  });

  it('refuses what is not its word, in the stage or in a hop, and ends that are none', () => {
    const { ACCEPTED, HELD, CONFIRMED, EXPIRED, ROUTED, DEAD } = Stage;
    for (const speaker of ['sender', 'router', 'registry', 'delivery'] as const) {
      assert.equal(said(speaker, CONFIRMED, true, ACCEPTED), 'RECEIPT_NOT_ITS_WORD');
      assert.equal(said(speaker, HELD, false, ACCEPTED), 'RECEIPT_NOT_ITS_WORD');
    }
    assert.equal(said('sender', EXPIRED, true, ACCEPTED, CONFIRMED), 'RECEIPT_NOT_ITS_WORD');
    assert.equal(said('sender', DEAD, true, ACCEPTED), 'RECEIPT_NOT_ITS_WORD');
    assert.equal(said('recipient', ROUTED, false), 'RECEIPT_NOT_ITS_WORD');
    assert.equal(said('recipient', HELD, true, ACCEPTED), 'RECEIPT_NOT_AN_END');
    assert.equal(said('recipient', Stage.UNSPECIFIED, false), 'RECEIPT_STAGE_UNKNOWN');
    assert.equal(said('recipient', 99 as Stage, true), 'RECEIPT_STAGE_UNKNOWN');
  });

  it('knows the services, and takes nobody else for one', () => {
    assert.equal(speakerOfService('router'), 'router');
    for (const other of ['n_1', 'recipient', 'sender', 'constructor', ''])
      assert.equal(speakerOfService(other), undefined);
  });
});
