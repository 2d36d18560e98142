/** Cases of a hub: mail from node to node, and what a node may not do. */

import { strict as assert } from 'node:assert';
import { Envelope, IngressPack, Stage } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { newMessageId } from '../wire/keys.ts';
import { acknowledge, Objections } from '../wire/nats.ts';
import { refusal } from '../wire/rpc.ts';
import type { Hub } from './hub-under-test.ts';
import type { PeerNode } from './peer-node.ts';

const RESOURCE_EXHAUSTED = 8;

/** Ids of the messages that wait, in order; all are acknowledged. */
async function take(node: PeerNode, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const next = await node.next();
    if (next === undefined) throw new Error(`only ${ids.length} of ${count} have come`);
    ids.push(...next.pack.entries.map((entry) => Envelope.decode(entry.envelope).id));
    await acknowledge(node.nc, next.message);
  }
  return ids;
}

export const mailing = (hub: () => Hub) => {
  const pair = async () => {
    const [from, to] = [await hub().connected('from'), await hub().connected('to')];
    const [sender, recipient] = [await from.register(`s-${from.name}`), await to.register(`r-${to.name}`)];
    await to.openInbox();
    return { from, to, sender, recipient };
  };

  describe('mail', () => {
    it('comes byte for byte, in order, and with what the hub says of it', async () => {
      const { from, to, sender, recipient } = await pair();
      const sent = ['one', 'two', 'three'].map((text) => from.envelope(sender, recipient.name, text));
      const { stream } = await from.send(sent);
      assert.equal(stream, 'INGRESS');
      const first = (await to.next())!;
      const subject = `fw.v1.inbox.${to.welcome!.shard}.${to.org}.${to.id}.${recipient.id}`;
      assert.equal(first.message.subject, subject);
      const entry = first.pack.entries[0]!;
      assert.deepEqual(Buffer.from(entry.envelope), Buffer.from(Envelope.encode(sent[0]!).finish()));
      assert.deepEqual(entry.recipients, [recipient.id]);
      assert.ok(entry.ingressAtUs > 0 && entry.routedAtUs >= entry.ingressAtUs && entry.router !== '');
      assert.equal(entry.deadlineUs, entry.ingressAtUs + 300_000_000);
      assert.equal(entry.movedEpoch, 0);
      // Not acknowledged: it comes again, and before anything later.
      await to.openInbox();
      assert.deepEqual(
        await take(to, 3),
        sent.map(({ id }) => id),
      );
    });

    it('is stored once under one dedupe id', async () => {
      const { from, to, sender, recipient } = await pair();
      const envelope = from.envelope(sender, recipient.name, 'once');
      const id = `${from.id}-${newMessageId()}`;
      assert.ok(!(await from.send([envelope], id)).duplicate);
      assert.equal((await from.send([envelope], id)).duplicate, true);
      const last = from.envelope(sender, recipient.name, 'last');
      await from.send([last]);
      assert.deepEqual(await take(to, 2), [envelope.id, last.id]);
    });

    it('ends in a receipt that its sender hears', async () => {
      const { from, to, sender, recipient } = await pair();
      const envelope = from.envelope(sender, recipient.name, 'hello');
      await from.send([envelope]);
      await take(to, 1);
      const about = {
        messageId: envelope.id,
        recipient: recipient.id,
        to: recipient.name,
        fromAgent: sender.id,
      };
      await to.tell(from.id, [{ ...about, stage: Stage.CONFIRMED, final: true }]);
      await eventually(() => from.receipts.some((r) => r.messageId === envelope.id && r.final));
    });

    it('to nobody ends dead, and says so', async () => {
      const { from, sender } = await pair();
      const envelope = from.envelope(sender, 'nobody-of-this-name', 'hello');
      await from.send([envelope]);
      const receipt = await eventually(() => from.receipts.find((r) => r.messageId === envelope.id));
      assert.deepEqual([receipt.stage, receipt.final, receipt.reason], [Stage.DEAD, true, 'UNKNOWN_AGENT']);
    });

    it('marked local is not delivered, and what is forged or unreadable stops nothing', async () => {
      const { from, to, sender, recipient } = await pair();
      const local = from.envelope(sender, recipient.name, 'local', { local: true, localAgent: recipient.id });
      const forged = [{ org: 'o_0000000000000000' }, { fromNode: to.id }].map((lie) =>
        from.envelope(sender, recipient.name, 'forged', lie),
      );
      await from.send([local, ...forged]);
      const unreadable = new Uint8Array([0xff, 0xff, 0xff, 0xff]);
      await from.publish(unreadable, newMessageId());
      await from.publish(IngressPack.encode({ envelopes: [unreadable] }).finish(), newMessageId());
      const good = from.envelope(sender, recipient.name, 'good');
      await from.send([good]);
      assert.deepEqual(await take(to, 1), [good.id]);
      assert.deepEqual(
        from.receipts.filter(({ messageId }) => messageId !== good.id),
        [],
      );
    });

    it('above the bounds is refused at the door, and the connection to the registry goes on', async () => {
      const { from, sender, recipient } = await pair();
      const large = from.envelope(sender, recipient.name, 'x'.repeat(1024 * 1024 + 1));
      await from.send([large]);
      const receipt = await eventually(() => from.receipts.find((r) => r.messageId === large.id));
      assert.deepEqual([receipt.stage, receipt.reason], [Stage.DEAD, 'PAYLOAD_TOO_LARGE']);
      const raw = new Uint8Array(9 * 1024 * 1024);
      const { code } = await refusal(from.registry.calls.syncRoster({}, { token: from.token, raw }));
      assert.equal(code, RESOURCE_EXHAUSTED);
      await refusal(
        from.registry.calls.syncRoster({}, { token: from.token, raw: new Uint8Array([0xff, 0xff]) }),
      );
      assert.equal((await from.beat()).known, true);
    });
  });

  describe('the servers', () => {
    it('refuse a node everything but its own subjects', async () => {
      const [node, other] = [await hub().connected(), await hub().connected()];
      const { org, nc } = node;
      const objections = new Objections(nc);
      const { partition, shard } = node.welcome!;
      const publishes = [
        `fw.v1.ingress.${partition}.${org}.${other.id}`,
        `fw.v1.ingress.${(partition + 1) % 8}.${org}.${node.id}`,
        `fw.v1.inbox.${shard}.${org}.${other.id}.a_0000000000000000`,
        `fw.v1.receipt.${org}.${node.id}.${other.id}`,
        `fw.v1.heartbeat.${org}.${other.id}`,
        `fw.v1.dead.${org}.a_0000000000000000.${other.id}`,
        `fw.v1.dead.${org}._unknown`,
        `fw.v1.peer.${org}.${other.id}.registry`,
        `fw.v1.peer.${org}.${other.id}.router`,
        `fw.v1.peer.${org}.${node.id}.${other.id}`,
        `fw.v1.event.${org}.org.tokens_revoked`,
        `$JS.API.CONSUMER.MSG.NEXT.INBOX.node-${other.id}`,
        `$JS.API.CONSUMER.DELETE.INBOX.node-${node.id}`,
        '$JS.API.STREAM.INFO.INBOX',
        '$JS.API.STREAM.NAMES',
        `$JS.ACK.INBOX.node-${other.id}.1.1.1.1.0`,
        `_INBOX_${other.id}.x`,
      ];
      for (const subject of publishes)
        assert.equal((await objections.to(() => nc.publish(subject))).length, 1, subject);
      const listens = [
        `fw.v1.ingress.>`,
        `fw.v1.inbox.${shard}.${org}.${node.id}.*`,
        `fw.v1.receipt.${org}.${other.id}.*`,
        `fw.v1.peer.${org}.${other.id}.*`,
        `fw.v1.heartbeat.${org}.*`,
        `_INBOX_${other.id}.>`,
        '>',
      ];
      for (const subject of listens) {
        const said = await objections.to(() => void nc.subscribe(subject, { callback: () => undefined }));
        assert.equal(said.length, 1, subject);
      }
      const own = () => nc.publish(`fw.v1.receipt.${org}.${other.id}.${node.id}`);
      assert.deepEqual(await objections.to(own), []);
    });
  });
};
