/**
 * Goal: what delivery replays is routed in the name of its first sender, for the agent that it is for; nobody else replays.
 * Method: a flow in memory, fed with packs on delivery's own ingress subject.
 */

import assert from 'node:assert/strict';
import { deadSubject, ingressSubject, REPLAYS, receiptSubject } from '@fleetwire/contract';
import { DeadLetter, type Envelope, InboxPack, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { flowOf, message, NODE, NOW_US, ORG, packOf, tableOf } from './samples.ts';

const SUBJECT = ingressSubject.build({ partition: 0, org: ORG, node: REPLAYS });

function replayed(over: Partial<Envelope>, table = tableOf('alice', 'bob')) {
  const flow = flowOf(table);
  flow.accept(message(7, packOf([{ attempt: 1, ...over }]), { subject: SUBJECT }), NOW_US);
  const stored: { kind: string; subject: string; payload: Uint8Array }[] = [];
  for (let next = flow.next(NOW_US); next !== undefined; next = flow.next(NOW_US)) {
    const { kind } = next.pack.items[0]!;
    for (const { subject, payload } of next.stores) stored.push({ kind, subject, payload });
    flow.stored(next);
  }
  const of = (kind: string) => stored.filter((one) => one.kind === kind);
  return { inbox: of('inbox'), receipts: of('receipt'), dead: of('dead') };
}

const recipients = ({ payload }: { payload: Uint8Array }) =>
  InboxPack.decode(payload).entries.flatMap((entry) => entry.recipients);

describe('a replay', () => {
  it('goes by its address where it was for nobody in particular', () => {
    const { inbox, dead } = replayed({});
    assert.deepEqual([inbox.flatMap(recipients), dead.length], [['a_alice'], 0]);
  });

  it('goes to the one agent that it is for, whoever has the name by now, and to nobody else of many', () => {
    assert.deepEqual(replayed({ localAgent: 'a_bob' }).inbox.flatMap(recipients), ['a_bob']);
    assert.deepEqual(replayed({ to: '*', localAgent: 'a_bob' }).inbox.flatMap(recipients), ['a_bob']);
  });

  it('that fails again is told to the node that sent it first, with its attempt, and is a dead letter again', () => {
    const { inbox, receipts, dead } = replayed({ localAgent: 'a_gone', attempt: 3 });
    assert.equal(inbox.length, 0);
    assert.deepEqual(
      receipts.map(({ subject }) => subject),
      [receiptSubject.build({ org: ORG, toNode: NODE, from: 'router' })],
    );
    const [receipt] = ReceiptBatch.decode(receipts[0]!.payload).receipts;
    assert.deepEqual(
      [receipt?.stage, receipt?.reason, receipt?.recipient, receipt?.attempt],
      [Stage.DEAD, 'UNKNOWN_AGENT', 'a_gone', 3],
    );
    assert.deepEqual(
      receipt?.hops.map((hop) => [hop.instance, hop.attempt]),
      [
        [NODE, 0],
        ['router-test', 3],
      ],
    );
    assert.equal(dead[0]?.subject, deadSubject.build({ org: ORG, agent: 'a_gone' }));
    assert.equal(DeadLetter.decode(dead[0]!.payload).subject, SUBJECT);
  });

  const refused: [string, Partial<Envelope>, string][] = [
    ['without an attempt', { attempt: 0 }, 'FORGED_ATTEMPT'],
    ['of another org', { org: 'o_other' }, 'FORGED_SENDER'],
    ['of a node that nobody could be told of', { fromNode: 'a.b' }, 'FORGED_SENDER'],
  ];
  for (const [what, over, reason] of refused)
    it(`${what} is refused, and nobody is told`, () => {
      const { inbox, receipts, dead } = replayed(over);
      assert.deepEqual([inbox.length, receipts.length, dead.length], [0, 0, 1]);
      assert.equal(DeadLetter.decode(dead[0]!.payload).reason, reason);
    });
});
