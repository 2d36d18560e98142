/**
 * Goal: a node that lets an agent go hands over nothing that nobody could answer or that is another org's.
 * Method: entries as a node would hand them over, and what is stored of them; the move is made up.
 */

import assert from 'node:assert/strict';
import { Envelope, InboxEntry, InboxPack } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, systemClock } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import type { RegistryParts } from '../src/handlers/parts.ts';
import { handOver } from '../src/moving/hand-over.ts';

const ORG = 'o_0000000000000001';
const [OLD, NEW, FROM] = ['n_0000000000000001', 'n_0000000000000002', 'n_0000000000000003'];
const AGENT = 'a_0000000000000001';
const move = { agent: AGENT, epoch: 7, org: ORG, fromNode: OLD, toNode: NEW, toShard: 0, state: 'handover' };

/** What is stored of entries with these envelopes. */
async function handed(envelopes: readonly Partial<Envelope>[], recipients = [AGENT]): Promise<InboxEntry[]> {
  const stored: InboxEntry[] = [];
  const parts = {
    clock: systemClock,
    moving: {
      moves: { find: async () => move },
      store: async (_subject: string, payload: Uint8Array) =>
        void stored.push(...InboxPack.decode(payload).entries),
    },
  } as unknown as RegistryParts;
  const entries = envelopes.map((envelope) =>
    InboxEntry.fromPartial({
      envelope: Envelope.encode(Envelope.fromPartial(envelope)).finish(),
      recipients,
    }),
  );
  const caller = { kind: 'node', org: ORG, subject: OLD } as unknown as Caller;
  await handOver(parts, { agent: AGENT, epoch: 7, entries, done: false }, caller);
  return stored;
}

describe('hand-over', () => {
  it('takes mail of the org, and what is only to be remembered', async () => {
    const mail = { id: 'm', org: ORG, fromNode: FROM, fromAgent: AGENT };
    assert.deepEqual((await handed([mail, mail])).length, 2);
    const [remembered] = await handed([{ id: 'm', fromAgent: AGENT }], []);
    assert.deepEqual(remembered?.recipients, []);
  });

  it('refuses mail of another org, or of no node: no receipt about it could be published', async () => {
    const mail = { id: 'm', org: ORG, fromNode: FROM, fromAgent: AGENT };
    for (const wrong of [
      { org: 'o_other' },
      { fromNode: '' },
      { fromNode: 'n_1.*' },
      { fromNode: 'no node' },
    ])
      await assert.rejects(
        handed([mail, { ...mail, ...wrong }]),
        (error) => error instanceof FleetwireError && error.reason === 'ENTRY_INVALID',
      );
  });
});
