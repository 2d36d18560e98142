/**
 * Goal: only those are believed who may speak of a message, and nobody is refused before it is known that they may not.
 * Method: each of those who could have published a receipt, with what is known and what is not; the law that knowing more
 * never turns a decision round.
 */

import assert from 'node:assert/strict';
import { Stage } from '@fleetwire/gen/message';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Homes, STRAY_US } from '../src/domain/homes.ts';
import { judge, type Known, type Verdict, type Word } from '../src/domain/verdict.ts';

const HOME = { current: ['n_home'], former: [{ node: 'n_old', leftAtUs: 1000 }] };
const NOWHERE = { current: [], former: [] };
const hop = (stage: Stage) => ({
  stage,
  service: '',
  instance: '',
  atUs: 1,
  reason: '',
  detail: '',
  attempt: 0,
});

const word = (publisher: string, stage: Stage, more: { toNode?: string; recipient?: string } = {}): Word => ({
  publisher,
  toNode: more.toNode ?? 'n_sender',
  receipt: {
    recipient: more.recipient ?? 'a_bob',
    stage,
    final: stage > Stage.DELIVERED,
    hops: [hop(stage)],
  },
});
const sentBy = (node: string, ingressAtUs = 500, local = false) => ({ node, ingressAtUs, local });

describe('who is believed', () => {
  const cases: [string, Word, Known, Verdict][] = [
    [
      'the node of the recipient',
      word('n_home', Stage.CONFIRMED),
      { homes: HOME, sent: undefined },
      'believed',
    ],
    [
      'another one',
      word('n_evil', Stage.CONFIRMED),
      { homes: HOME, sent: sentBy('n_sender') },
      'RECEIPT_FORGED',
    ],
    [
      'another one, of which nothing is known yet',
      word('n_evil', Stage.CONFIRMED),
      { homes: undefined, sent: undefined },
      'open',
    ],
    [
      'another one that claims to have sent it',
      word('n_evil', Stage.EXPIRED, { toNode: 'n_evil' }),
      { homes: HOME, sent: sentBy('n_sender') },
      'RECEIPT_FORGED',
    ],
    [
      'the same before history has the message',
      word('n_evil', Stage.EXPIRED, { toNode: 'n_evil' }),
      { homes: HOME, sent: undefined },
      'open',
    ],
    [
      'the old node, of mail from when the agent lived there',
      word('n_old', Stage.CONFIRMED),
      { homes: HOME, sent: sentBy('n_sender', 900) },
      'believed',
    ],
    [
      'the old node, of mail on its way at the move',
      word('n_old', Stage.CONFIRMED),
      { homes: HOME, sent: sentBy('n_sender', 1000 + STRAY_US) },
      'believed',
    ],
    [
      'the old node, of later mail',
      word('n_old', Stage.CONFIRMED),
      { homes: HOME, sent: sentBy('n_sender', 1001 + STRAY_US) },
      'RECEIPT_FORGED',
    ],
    [
      'the old node, before it is known when the message was sent',
      word('n_old', Stage.CONFIRMED),
      { homes: HOME, sent: undefined },
      'open',
    ],
    [
      'the sender, of what never left it',
      word('n_sender', Stage.EXPIRED),
      { homes: HOME, sent: 'nothing' },
      'believed',
    ],
    [
      'the sender, of what its recipient did',
      word('n_sender', Stage.CONFIRMED),
      { homes: HOME, sent: sentBy('n_sender') },
      'RECEIPT_NOT_ITS_WORD',
    ],
    [
      'the sender, of an agent of its own that is not registered',
      word('n_sender', Stage.CONFIRMED),
      { homes: NOWHERE, sent: sentBy('n_sender', 500, true) },
      'believed',
    ],
    [
      'the sender, of an agent that nobody knows and mail that left it',
      word('n_sender', Stage.CONFIRMED),
      { homes: NOWHERE, sent: sentBy('n_sender') },
      'RECEIPT_NOT_ITS_WORD',
    ],
    [
      'the sender, of nobody',
      word('n_sender', Stage.CONFIRMED, { recipient: '' }),
      { homes: NOWHERE, sent: sentBy('n_sender', 500, true) },
      'RECEIPT_NOT_ITS_WORD',
    ],
    [
      'somebody, of an agent that nobody knows',
      word('n_evil', Stage.CONFIRMED),
      { homes: NOWHERE, sent: 'nothing' },
      'RECEIPT_FORGED',
    ],
  ];
  for (const [who, said, known, verdict] of cases)
    it(`${who}: ${verdict}`, () => assert.equal(judge(said, known), verdict));

  it('is never decided by less than what would turn it round', () => {
    const nodes = fc.constantFrom('n_home', 'n_old', 'n_sender', 'n_evil');
    const homes = fc.constantFrom(HOME, NOWHERE);
    const sent = fc.oneof(
      fc.constant('nothing' as const),
      fc.record({
        node: nodes,
        local: fc.boolean(),
        ingressAtUs: fc.constantFrom(500, 2 * STRAY_US),
      }),
    );
    const stage = fc.constantFrom(Stage.HELD, Stage.CONFIRMED, Stage.EXPIRED, Stage.DEAD);
    fc.assert(
      fc.property(nodes, nodes, stage, homes, sent, (publisher, toNode, of, all, who) => {
        const said = word(publisher, of, { toNode });
        const whole = judge(said, { homes: all, sent: who });
        assert.notEqual(whole, 'open');
        for (const less of [
          { homes: undefined, sent: who },
          { homes: all, sent: undefined },
          { homes: undefined, sent: undefined },
        ])
          assert.ok(['open', whole].includes(judge(said, less)));
      }),
    );
  });
});

describe('homes', () => {
  const known = (former = 10) => {
    const homes = new Homes(former);
    homes.lives('o_1', 'a_1', 'n_a', '', 100);
    return homes;
  };

  it('is where the agent lives, and while it moves where it comes from', () => {
    const homes = known();
    homes.lives('o_1', 'a_1', 'n_b', 'n_a', 200);
    for (const [node, is] of [
      ['n_a', true],
      ['n_b', true],
      ['n_c', false],
      ['', false],
    ] as const)
      assert.equal(homes.isHome('o_1', 'a_1', node, 1e15), is, node);
    assert.equal(homes.isHome('o_2', 'a_1', 'n_b', 0), false);
  });

  it('was, for a moment after the agent has gone', () => {
    const homes = known();
    homes.lives('o_1', 'a_1', 'n_b', '', 200);
    homes.gone('o_1', 'a_1', 300);
    assert.equal(homes.isHome('o_1', 'a_1', 'n_b', 300 + STRAY_US), true);
    assert.equal(homes.isHome('o_1', 'a_1', 'n_b', 301 + STRAY_US), false);
    assert.equal(homes.isHome('o_1', 'a_1', 'n_a', 200 + STRAY_US), true);
    assert.equal(homes.isHome('o_1', 'a_1', 'n_a', 201 + STRAY_US), false);
  });

  it('forgets what was, the oldest first, and never where an agent lives', () => {
    const homes = known(2);
    for (const agent of ['a_2', 'a_3', 'a_4']) {
      homes.lives('o_1', agent, 'n_a', '', 1);
      homes.lives('o_1', agent, 'n_b', '', 2);
    }
    homes.gone('o_1', 'a_4', 3);
    const was = ['a_2', 'a_3', 'a_4'].map((agent) => homes.isHome('o_1', agent, 'n_a', 3));
    assert.deepEqual(was, [false, false, true]);
    assert.ok(homes.isHome('o_1', 'a_2', 'n_b', 3));
    assert.ok(homes.isHome('o_1', 'a_1', 'n_a', 3));
  });
});
