/**
 * Goal: as the sweep's, the ids of receipts for what is returned cannot be known by whoever may publish to the same stream.
 * Method: the same message returned with one secret twice, then with another.
 */

import { strict as assert } from 'node:assert';
import { type Broker, dedupeIds } from '@fleetwire/broker';
import { Envelope, InboxEntry, InboxPack } from '@fleetwire/gen/message';
import { systemClock } from '@fleetwire/kernel';
import { assertSecretIds } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { moveWaiting, type WaitingMailOptions } from '../src/moving/waiting-mail.ts';
import type { MoveRow } from '../src/store/moves.ts';

async function idsBy(secret: Uint8Array): Promise<string[]> {
  const envelope = Envelope.encode(Envelope.fromPartial({ id: 'x', org: 'o_1', fromNode: 'n_1' })).finish();
  const entry = InboxEntry.fromPartial({ envelope, recipients: ['a_1'] });
  const data = InboxPack.encode(InboxPack.fromPartial({ entries: [entry] })).finish();
  const waiting = new Map([[7, { subject: 's', data, sequence: 7, storedAtUs: 1, header: () => '' }]]);
  const ids: string[] = [];
  const store: Broker['store'] = async (_subject, _payload, { msgId }) => {
    ids.push(msgId);
    return { sequence: 1, duplicate: false };
  };
  const messages = {
    nextBySubject: async (_stream: string, _subject: string, from: number) =>
      [...waiting.values()].find(({ sequence }) => sequence >= from),
    deleteMessage: async (_stream: string, sequence: number) => waiting.delete(sequence),
  };
  const log = { error: (_: object, line: string) => assert.fail(line) };
  const streams = { count: async () => waiting.size, state: async () => ({ lastSequence: 7 }) };
  const receiptIds = dedupeIds(secret);
  const options = { messages, streams, store, receiptIds, clock: systemClock, instance: 'registry-1', log };
  const move = {
    org: 'o_1',
    agent: 'a_1',
    epoch: 1,
    fromNode: 'n_2',
    toNode: '',
    fromShard: 0,
    reason: 'agent_removed',
  };
  await moveWaiting(options as unknown as WaitingMailOptions, move as unknown as MoveRow, () => true);
  return ids;
}

describe('ids of the receipts for what is returned', () => {
  it('are known only to who has the secret', () => assertSecretIds(idsBy));
});
