/**
 * Goal: a node believes of its own mail only those who may speak of it, and loses no true word for want of knowing.
 * Method: the gate between a directory and a registry that the test answers for, also late, with an error and not at all.
 */

import assert from 'node:assert/strict';
import { type Receipt, Receipt as ReceiptCodec, Stage } from '@fleetwire/gen/message';
import type { AgentHomesResponse } from '@fleetwire/gen/registry';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually, silentLog } from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import { ReceiptGate } from '../src/mail/receipt-gate.ts';

const AWAY = new FleetwireError('unavailable', 'NOT_CONNECTED', 'away');

const about = (stage: Stage, recipient = 'a_bob', final = true): Receipt =>
  ReceiptCodec.fromPartial({ messageId: 'm', recipient, stage, final, hops: [{ stage, atUs: 1 }] });

describe('the gate of receipts', () => {
  let gate: ReceiptGate;
  let answers: (AgentHomesResponse | FleetwireError)[];
  const heard: Receipt[] = [];
  const make = (more: { waitingMax?: number; acceptedAtUs?: number; known?: boolean } = {}) => {
    heard.length = 0;
    answers = [];
    gate = new ReceiptGate({
      isHome: (agent, node) => agent === 'a_bob' && node === 'n_bob' && more.known !== false,
      ask: async () => {
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer === undefined || answer instanceof FleetwireError) throw answer ?? AWAY;
        return answer;
      },
      acceptedAtUs: () => more.acceptedAtUs,
      log: silentLog,
      waitingMax: more.waitingMax ?? 10,
    });
  };
  const hear = (publisher: string, ...receipts: Receipt[]) =>
    heard.push(...gate.sift(publisher, receipts, (late) => heard.push(...late)));
  const decided = () => eventually(() => gate.figures.waiting === 0 && gate.figures.refused > 0);
  afterEach(() => gate.stop());

  it('lets services say what is theirs, and the node of the recipient all that happens there', () => {
    make();
    hear('router', about(Stage.ROUTED, '', false), about(Stage.DEAD), about(Stage.CONFIRMED));
    hear('delivery', about(Stage.EXPIRED), about(Stage.HELD, 'a_bob', false));
    hear('registry', about(Stage.RETURNED), about(Stage.DEAD));
    hear('n_bob', about(Stage.CONFIRMED), about(Stage.HELD), about(Stage.EXPIRED, ''));
    const { ROUTED, DEAD, EXPIRED, RETURNED, CONFIRMED } = Stage;
    assert.deepEqual(
      heard.map(({ stage }) => stage),
      [ROUTED, DEAD, EXPIRED, RETURNED, CONFIRMED],
    );
    assert.equal(gate.figures.refused, 5);
  });

  it('refuses another node once the registry says so', async () => {
    make();
    answers = [{ homes: [{ agent: 'a_bob', nodes: ['n_bob'], former: [] }] }];
    hear('n_forger', about(Stage.CONFIRMED), about(Stage.DEAD), about(Stage.CONFIRMED, 'a_nobody'));
    await decided();
    assert.deepEqual(heard, []);
    assert.equal(gate.figures.refused, 3);
  });

  it('takes the word of a node that the directory does not know yet, however long the registry is away', async () => {
    make({ known: false });
    answers = [AWAY, AWAY, { homes: [{ agent: 'a_bob', nodes: ['n_bob'], former: [] }] }];
    hear('n_bob', about(Stage.CONFIRMED));
    assert.deepEqual(heard, []);
    await eventually(() => heard.length === 1);
  });

  it('takes the word of a node where the agent lived when the message was sent, and none of later mail', async () => {
    const homes = [{ agent: 'a_bob', nodes: ['n_bob'], former: [{ node: 'n_old', leftAtMs: 1_000_000 }] }];
    make({ acceptedAtUs: 1_000_000_000 });
    answers = [{ homes }];
    hear('n_old', about(Stage.UNCONFIRMED));
    await eventually(() => heard.length === 1);
    await gate.stop();
    make({ acceptedAtUs: 1_000_000_000 + 61_000_000 });
    answers = [{ homes }];
    hear('n_old', about(Stage.UNCONFIRMED));
    await decided();
    assert.deepEqual(heard, []);
  });

  it('believes as before where the registry is one that does not tell', async () => {
    make();
    answers = [new FleetwireError('unimplemented', 'UNIMPLEMENTED', 'an older one')];
    hear('n_somebody', about(Stage.CONFIRMED));
    await eventually(() => heard.length === 1);
  });

  it('keeps no more than its bound waiting', () => {
    make({ waitingMax: 2 });
    hear('n_forger', ...Array.from({ length: 5 }, () => about(Stage.CONFIRMED)));
    assert.ok(gate.figures.dropped >= 2);
  });
});
