/**
 * Goal: mail that a node cannot decode goes back to its sender, and its neighbours are delivered.
 * Method: a real node; entries as a router with a fault would write them are put into its inbox.
 */

import assert from 'node:assert/strict';
import { inboxSubject } from '@fleetwire/contract';
import { Envelope, InboxPack, type Receipt, Stage } from '@fleetwire/gen/message';
import { newMessageId, systemClock } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { looseEntries, looseHeader } from '../src/domain/loose-mail.ts';
import { entryFor, OTHER_NODE } from './engine-fixture.ts';
import { FakeHub, TEST_ORG } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

/** Nine bytes of ones: a varint above the safe integers, in field `n`. */
const beyond = (n: number) => [n << 3, 255, 255, 255, 255, 255, 255, 255, 127];
const lengthOf = (bytes: Uint8Array) => [(bytes.length & 127) | 128, bytes.length >> 7];
const entryOf = (agent: string, id: string) => entryFor(agent, { nowUs: systemClock.nowUs } as never, { id });

describe('mail that cannot be decoded', () => {
  it('is returned, be it the envelope or the entry, and the rest of its pack is delivered', async () => {
    const hub = await FakeHub.start();
    const node = new TestNode(hub, 'right', {});
    try {
      await node.start();
      const bob = await TestSession.open(node.client(), { name: 'bob' });
      const agent = hub.agents.get('bob')!;
      const [first, second, good] = [newMessageId(), newMessageId(), newMessageId()];
      const badEnvelope = entryOf(agent.id, first);
      const envelope = Buffer.concat([badEnvelope.envelope, Buffer.from(beyond(10))]);
      await hub.put(agent, [{ ...badEnvelope, envelope }]);
      const [bad] = packed(entryOf(agent.id, second));
      const badEntry = Buffer.concat([bad!, Buffer.from(beyond(3))]);
      const [sound] = packed(entryOf(agent.id, good));
      const parts = [badEntry, sound!].flatMap((it) => [Buffer.from([10, ...lengthOf(it)]), it]);
      const subject = inboxSubject.build({ shard: 0, org: TEST_ORG, node: agent.node, agent: agent.id });
      await hub.broker.store(subject, Buffer.concat(parts), { msgId: 'broken-entry' });
      await eventually(() => bob.deliveries.length === 1);
      for (const id of [first, second]) {
        const [receipt] = await eventually(() => told(hub.receiptsOf(id)));
        assert.deepEqual([receipt!.stage, receipt!.reason], [Stage.RETURNED, 'MESSAGE_UNREADABLE']);
        assert.deepEqual([receipt!.final, receipt!.recipient], [true, agent.id]);
      }
      assert.equal(hub.receiptsOf(good).filter((it) => it.reason !== '').length, 0);
    } finally {
      await node.dispose();
      await hub.stop();
    }
  }).timeout(60_000);

  it('gives its header where that is whole, and never throws', () => {
    const { envelope } = entryOf('a_bob', 'an-id');
    const header = looseHeader(Buffer.concat([envelope, Buffer.from([255, 255])]))!;
    assert.deepEqual([header.id, header.fromNode, header.to], ['an-id', OTHER_NODE, 'bob']);
    assert.deepEqual(looseHeader(envelope)!.fromAgent, Envelope.decode(envelope).fromAgent);
    assert.equal(looseHeader(new Uint8Array(0)), undefined);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (noise, cut) => {
        looseHeader(noise);
        looseEntries(noise);
        looseHeader(Buffer.concat([envelope.subarray(0, cut), noise]));
      }),
    );
  });
});

/** The entry alone, without the tag and length that a pack puts before it. */
function packed(entry: Parameters<typeof InboxPack.encode>[0]['entries'][number]): Uint8Array[] {
  const pack = InboxPack.encode(InboxPack.fromPartial({ entries: [entry] })).finish();
  return [pack.subarray(pack[1]! < 128 ? 2 : 3)];
}

const told = (receipts: readonly Receipt[]) => (receipts.length > 0 ? receipts : undefined);
