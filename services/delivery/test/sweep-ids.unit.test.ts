/**
 * Goal: the ids by which the stream drops repeats of the sweep's receipts are the same from every replica, and cannot be
 * known by whoever may publish to the same stream. Method: the same expired message swept with one secret twice, then another.
 */

import { type Broker, dedupeIds } from '@fleetwire/broker';
import { Envelope, InboxEntry, InboxPack } from '@fleetwire/gen/message';
import { assertSecretIds } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { SweepPlan } from '../src/domain/sweep-plan.ts';
import { type InboxMessage, sweepInbox } from '../src/handlers/sweep.ts';

const NOW_US = 1_790_000_000_000_000;

/** The ids that a replica with this secret stores its receipts under. */
async function idsBy(secret: Uint8Array): Promise<string[]> {
  const envelope = Envelope.encode(Envelope.fromPartial({ id: 'x', org: 'o_1', fromNode: 'n_1' })).finish();
  const entry = InboxEntry.fromPartial({ envelope, recipients: ['a_1'], deadlineUs: NOW_US - 60e6 });
  const data = InboxPack.encode(InboxPack.fromPartial({ entries: [entry] })).finish();
  const subject = 'fw.v1.inbox.0.o_1.n_1.a_1';
  let left: InboxMessage | undefined = { sequence: 7, subject, data, storedAtUs: NOW_US - 90e6 };
  const ids: string[] = [];
  const store: Broker['store'] = async (_subject, _payload, { msgId }) => {
    ids.push(msgId);
    return { sequence: 1, duplicate: false };
  };
  const inbox = {
    next: async (from: number) => (from <= 7 ? left : undefined),
    last: async () => 7,
    get: async () => left,
    remove: async () => {
      left = undefined;
    },
  };
  const clock = { nowUs: () => NOW_US, monotonicMs: () => 0 };
  const limits = { readMax: 10, settleMax: 10, marginMs: 1000 };
  const options = { inbox, store, receiptIds: dedupeIds(secret), clock, instance: 'delivery-1', limits };
  await sweepInbox(new SweepPlan(10), options, () => true);
  return ids;
}

describe('ids of the receipts of the sweep', () => {
  it('are known only to who has the secret', () => assertSecretIds(idsBy));
});
