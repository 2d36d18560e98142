/** Cases of a node: mail that it sends and mail that it takes in. */

import { strict as assert } from 'node:assert';
import { Envelope, InboxEntry, InboxPack, IngressPack, Stage } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { newMessageId } from '../wire/keys.ts';
import { api } from '../wire/nats.ts';
import { NodeUnderTest } from './node-under-test.ts';
import { type Known, ORG, type StandHub } from './stand-hub.ts';
import { createIngress } from './stand-servers.ts';

const FAR = { agent: 'a_00000000000000fa', node: 'n_00000000000000fa' };
const MINUTES_5 = 300_000;

/** One message from far away, as a router has put it. */
export function entryFor(
  recipient: string,
  text: string,
  o: Partial<InboxEntry> & { id?: string } = {},
): InboxEntry {
  const { id = newMessageId(), ...more } = o;
  const nowUs = Date.now() * 1000;
  const who = { org: ORG, fromAgent: FAR.agent, fromName: 'far', fromNode: FAR.node, to: 'bob' };
  const body = new TextEncoder().encode(text);
  const envelope = Envelope.fromPartial({
    id,
    ...who,
    acceptedAtUs: nowUs,
    ttlMs: MINUTES_5,
    body,
  } as Envelope);
  const times = {
    ingressAtUs: nowUs,
    ingressSeq: 1,
    routedAtUs: nowUs,
    deadlineUs: nowUs + MINUTES_5 * 1000,
  };
  const rest = { recipients: [recipient], router: 'router-stand', routeEpoch: 1, ...times, ...more };
  return InboxEntry.fromPartial({ envelope: Envelope.encode(envelope).finish(), ...rest } as InboxEntry);
}

export const idIn = (entry: InboxEntry): string => Envelope.decode(entry.envelope).id;
const textsIn = (bytes: Uint8Array) =>
  IngressPack.decode(bytes).envelopes.map((one) => Buffer.from(Envelope.decode(one).body).toString());

export const carrying = (hub: () => StandHub) =>
  describe('mail', () => {
    let node: NodeUnderTest;
    let known: Known;
    let bob: string;
    before(async () => {
      node = await new NodeUnderTest(hub(), 'carrier').active();
      known = node.known;
      bob = await node.host('bob');
      await eventually(() => known.opened > 0);
    });
    after(() => node?.[Symbol.asyncDispose]());

    const finals = (id: string) => known.receipts.filter((r) => r.messageId === id && r.final);
    const taken = () => hub().taken(known);

    it('is sent in order, one pack at a time, the same again under the same id until it is stored', async () => {
      const { nc } = hub().servers;
      await api(nc, 'STREAM.DELETE.INGRESS');
      hub().storing = false;
      await node.send('bob', 'far', 'one');
      await eventually(() => known.packs.length >= 2);
      for (const text of ['two', 'three']) await node.send('bob', 'far', text);
      const before = known.packs.length;
      await eventually(() => known.packs.length > before);
      const tried = known.packs.slice(0, before);
      assert.equal(new Set(tried.map(({ id }) => id)).size, 1);
      assert.notEqual(tried[0]!.id, '');
      for (const { bytes } of tried) assert.deepEqual(textsIn(bytes), ['one']);
      hub().storing = true;
      await createIngress(nc);
      await eventually(() => known.packs.some(({ bytes }) => textsIn(bytes).includes('three')));
      const distinct = new Map(known.packs.map(({ id, bytes }) => [id, textsIn(bytes)]));
      assert.deepEqual([...distinct.values()].flat(), ['one', 'two', 'three']);
      await eventually(async () => (await node.status()).outboxDepth === 0);
    });

    it('names its own org, node and agent', async () => {
      const id = await node.send('bob', 'far', 'mine');
      const envelopes = () => known.packs.flatMap(({ bytes }) => IngressPack.decode(bytes).envelopes);
      const sent = await eventually(() =>
        envelopes()
          .map((one) => Envelope.decode(one))
          .find((one) => one.id === id),
      );
      assert.deepEqual([sent.org, sent.fromNode, sent.fromAgent, sent.fromName], [ORG, known.id, bob, 'bob']);
      assert.deepEqual(
        [sent.to, sent.local, sent.ttlMs > 0, sent.acceptedAtUs > 0],
        ['far', false, true, true],
      );
      assert.match(sent.id, /^[0-9a-z]{26}$/);
    });

    it('is taken in order, acknowledged, and ends in one receipt each', async () => {
      const entries = ['a', 'b', 'c'].map((text) => entryFor(bob, text));
      await hub().put(known, bob, entries.slice(0, 2));
      await hub().put(known, bob, entries.slice(2));
      await taken();
      assert.deepEqual(await node.read('bob'), ['a', 'b', 'c']);
      for (const entry of entries) {
        await eventually(() => finals(idIn(entry)).length > 0);
        const [receipt] = finals(idIn(entry));
        assert.deepEqual(
          [receipt!.stage, receipt!.recipient, receipt!.fromAgent],
          [Stage.CONFIRMED, bob, FAR.agent],
        );
      }
      assert.ok(known.receiptIds.length > 0 && known.receiptIds.every((id) => id !== ''));
    });

    it('has its effect once, however often it comes', async () => {
      const entry = entryFor(bob, 'once');
      for (let i = 0; i < 3; i++) await hub().put(known, bob, [entry, entry]);
      await hub().put(known, bob, [entryFor(bob, 'then')]);
      await taken();
      assert.deepEqual(await node.read('bob'), ['once', 'then']);
      await hub().put(known, bob, [entry]);
      await taken();
      assert.deepEqual(await node.read('bob'), []);
      await eventually(() => finals(idIn(entry)).length > 0);
      assert.ok(finals(idIn(entry)).every(({ stage }) => stage === Stage.CONFIRMED));
    });

    it('that is too late, or for nobody here, ends at once with its reason', async () => {
      const late = entryFor(bob, 'late', { deadlineUs: (Date.now() - 60_000) * 1000 });
      const stranger = entryFor('a_00000000000000zz', 'stranger');
      await hub().put(known, bob, [late]);
      await hub().put(known, 'a_00000000000000zz', [stranger]);
      await taken();
      await eventually(() => finals(idIn(late)).length > 0 && finals(idIn(stranger)).length > 0);
      assert.deepEqual(
        [finals(idIn(late))[0]!.stage, finals(idIn(late))[0]!.reason],
        [Stage.EXPIRED, 'TTL_EXPIRED'],
      );
      assert.deepEqual(
        [finals(idIn(stranger))[0]!.stage, finals(idIn(stranger))[0]!.reason],
        [Stage.RETURNED, 'AGENT_NOT_HERE'],
      );
      assert.deepEqual(await node.read('bob'), []);
    });

    it('that cannot be read stops nothing', async () => {
      await hub().putBytes(known, bob, new Uint8Array([0xff, 0xff, 0xff, 0xff]));
      await hub().putBytes(known, bob, new Uint8Array());
      await hub().put(known, bob, [
        InboxEntry.fromPartial({ envelope: new Uint8Array([0xff]), recipients: [bob] }),
      ]);
      await hub().putBytes(known, bob, InboxPack.encode({ entries: [], mark: undefined }).finish());
      await hub().put(known, bob, [entryFor(bob, 'good')]);
      await taken();
      assert.deepEqual(await node.read('bob'), ['good']);
    });

    it('that was acknowledged is on its disk: a kill loses none and doubles none', async () => {
      const texts = Array.from({ length: 20 }, (_, i) => `kept ${i}`);
      for (const text of texts) await hub().put(known, bob, [entryFor(bob, text)]);
      await taken();
      const opened = known.opened;
      await node.stop('SIGKILL');
      await node.active();
      await eventually(() => known.opened > opened);
      assert.deepEqual(await node.read('bob'), texts);
      assert.deepEqual([...known.agents.keys()], [bob]);
    });
  });
