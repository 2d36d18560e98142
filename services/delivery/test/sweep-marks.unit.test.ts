/**
 * Goal: a mark in a moving agent's mail has no deadline: the sweep leaves it to the node that it is for. A message to many ends
 * for each of its recipients.
 * Method: an inbox in memory with a mark and expired messages, all long beyond the margin.
 */

import assert from 'node:assert/strict';
import { dedupeIds } from '@fleetwire/broker';
import { inboxSubject, MANY } from '@fleetwire/contract';
import { Envelope, InboxEntry, InboxPack, type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { SweepPlan } from '../src/domain/sweep-plan.ts';
import { type InboxMessage, sweepInbox } from '../src/handlers/sweep.ts';

const NOW_US = 1_790_000_000_000_000;

/** What one run of the sweep leaves of these packs of one subject, and the receipts that it stores. */
async function swept(agent: string, packs: readonly Parameters<typeof InboxPack.fromPartial>[0][]) {
  const stored = new Map(
    packs.map((pack, i): [number, InboxMessage] => {
      const data = InboxPack.encode(InboxPack.fromPartial(pack)).finish();
      const subject = inboxSubject.build({ shard: 0, org: 'o_1', node: 'n_1', agent });
      return [i + 1, { sequence: i + 1, subject, data, storedAtUs: NOW_US - 90e6 }];
    }),
  );
  const inbox = {
    next: async (from: number) => [...stored.values()].find(({ sequence }) => sequence >= from),
    last: async () => packs.length,
    get: async (sequence: number) => stored.get(sequence),
    remove: async (sequence: number) => void stored.delete(sequence),
  };
  const receipts: Receipt[] = [];
  const store = async (_subject: string, payload: Uint8Array) => {
    receipts.push(...ReceiptBatch.decode(payload).receipts);
    return { sequence: 1, duplicate: false };
  };
  const clock = { nowUs: () => NOW_US, monotonicMs: () => 0 };
  const limits = { readMax: 10, settleMax: 10, marginMs: 1000 };
  const receiptIds = dedupeIds(new Uint8Array(32));
  const options = { inbox, store, receiptIds, clock, instance: 'delivery-1', limits };
  const { expired } = await sweepInbox(new SweepPlan(10), options, () => true);
  return { expired, left: [...stored.keys()], receipts };
}

const expiredFor = (...recipients: string[]) => {
  const envelope = Envelope.encode(Envelope.fromPartial({ id: 'x', org: 'o_1', fromNode: 'n_1' })).finish();
  return InboxEntry.fromPartial({ envelope, recipients, deadlineUs: NOW_US - 60e6 });
};

describe('the sweep', () => {
  it('ends what has expired and leaves marks alone', async () => {
    const packs = [{ mark: { agent: 'a_1', epoch: 1, end: true } }, { entries: [expiredFor('a_1')] }];
    const { expired, left } = await swept('a_1', packs);
    assert.deepEqual([expired, left], [1, [1]]);
  });

  it('ends a message to many for each of its recipients', async () => {
    const all = Array.from({ length: 1200 }, (_, i) => `a_${i}`);
    const { left, receipts } = await swept(MANY, [{ entries: [expiredFor(...all), expiredFor('a_1')] }]);
    assert.deepEqual(left, []);
    assert.deepEqual(
      receipts.map(({ recipient }) => recipient),
      [...all, 'a_1'],
    );
    assert.ok(receipts.every(({ stage, final }) => stage === Stage.EXPIRED && final));
  });
});
