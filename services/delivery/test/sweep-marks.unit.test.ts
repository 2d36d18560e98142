/**
 * Goal: a mark in a moving agent's mail has no deadline: the sweep leaves it to the node that it is for.
 * Method: an inbox in memory with a mark and an expired message, both long beyond the margin.
 */

import assert from 'node:assert/strict';
import { dedupeIds } from '@fleetwire/broker';
import { Envelope, InboxEntry, InboxPack } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';
import { SweepPlan } from '../src/domain/sweep-plan.ts';
import { type InboxMessage, sweepInbox } from '../src/handlers/sweep.ts';

const NOW_US = 1_790_000_000_000_000;

describe('the sweep', () => {
  it('ends what has expired and leaves marks alone', async () => {
    const envelope = Envelope.encode(Envelope.fromPartial({ id: 'x', org: 'o_1', fromNode: 'n_1' })).finish();
    const entry = InboxEntry.fromPartial({ envelope, recipients: ['a_1'], deadlineUs: NOW_US - 60e6 });
    const packs = [{ mark: { agent: 'a_1', epoch: 1, end: true } }, { entries: [entry] }];
    const stored = new Map(
      packs.map((pack, i): [number, InboxMessage] => {
        const data = InboxPack.encode(InboxPack.fromPartial(pack)).finish();
        return [
          i + 1,
          { sequence: i + 1, subject: 'fw.v1.inbox.0.o_1.n_1.a_1', data, storedAtUs: NOW_US - 90e6 },
        ];
      }),
    );
    const inbox = {
      next: async (from: number) => [...stored.values()].find(({ sequence }) => sequence >= from),
      get: async (sequence: number) => stored.get(sequence),
      remove: async (sequence: number) => void stored.delete(sequence),
    };
    const store = async () => ({ sequence: 1, duplicate: false });
    const clock = { nowUs: () => NOW_US, monotonicMs: () => 0 };
    const limits = { readMax: 10, settleMax: 10, marginMs: 1000 };
    const receiptIds = dedupeIds(new Uint8Array(32));
    const options = { inbox, store, receiptIds, clock, instance: 'delivery-1', limits };
    assert.equal((await sweepInbox(new SweepPlan(10), options, () => true)).expired, 1);
    assert.deepEqual([...stored.keys()], [1]);
  });
});
