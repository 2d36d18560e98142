/** Cases of a hub: heartbeats and their answers, nudges, goodbye, rotation of keys, removal. */

import { strict as assert } from 'node:assert';
import { Heartbeat, HeartbeatReply } from '@fleetwire/gen/message';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { claimsOf, newNodeKey, rotationText } from '../wire/keys.ts';
import { open } from '../wire/nats.ts';
import { reasonOf } from '../wire/rpc.ts';
import type { Hub } from './hub-under-test.ts';
import type { PeerNode } from './peer-node.ts';

const nudged = (node: PeerNode, why: string) =>
  eventually(() => node.frames.some(({ from, nudge }) => from === 'registry' && nudge === why));

/** Online as the hub tells a neighbour. */
async function onlineFor(neighbour: PeerNode, node: PeerNode): Promise<boolean> {
  const { nodes } = await neighbour.registry.calls.sync({}, { token: neighbour.token });
  return nodes.find((route) => route.node === node.id)?.online ?? false;
}

/** A hub bounds heartbeats. */
const RARELY = { everyMs: 300 };

export const beating = (hub: () => Hub) =>
  describe('heartbeat', () => {
    it('is answered with the time, and with new credentials when half of their life is over', async () => {
      const node = await hub().connected();
      const fresh = await node.beat();
      assert.deepEqual([fresh.known, fresh.refused, fresh.userJwt], [true, '', '']);
      assert.deepEqual([fresh.draining, fresh.rotateKey, fresh.rosterDiffers], [false, false, false]);
      assert.ok(Math.abs(fresh.brokerTimeUs - node.welcome!.brokerTimeUs) < 60e6);
      const { userJwt } = await node.beat({ credentialsLeftS: 60 });
      assert.equal(claimsOf(userJwt).sub, node.key.publicKey);
      const second = await open({
        url: node.welcome!.natsUrls[0]!,
        jwt: userJwt,
        key: node.key,
        inboxPrefix: `_INBOX_${node.id}`,
      });
      await second.close();
      assert.equal((await node.beat()).known, true);
    });

    it('of version 1 is answered as before', async () => {
      const node = await hub().joined();
      const nonce = await node.nonce();
      const first = { node: node.id, nonce, signature: node.key.sign(nonce), protocol: '1' };
      node.welcome = await hub().registry.calls.hello(first);
      const { userJwt: jwt, natsUrls } = node.welcome;
      const nc = await open({ url: natsUrls[0]!, jwt, key: node.key, inboxPrefix: `_INBOX_${node.id}` });
      const beat = Heartbeat.fromPartial({ node: node.id, version: '0.0.9', credentialsLeftS: 9 });
      const subject = `fw.v1.heartbeat.${node.org}.${node.id}`;
      const answer = await nc.request(subject, Heartbeat.encode(beat).finish(), { timeout: 10_000 });
      const reply = HeartbeatReply.decode(answer.data);
      assert.deepEqual([reply.known, reply.userJwt !== '', reply.rosterDiffers], [true, true, false]);
      await nc.close();
    });

    it('says that another roster is there', async () => {
      const node = await hub().connected();
      assert.equal((await node.beat({ rosterDigest: 1 })).rosterDiffers, true);
      assert.equal((await node.beat()).rosterDiffers, false);
    });

    it('survives what is none: malformed, oversize, or of another node', async () => {
      const [node, other] = [await hub().connected(), await hub().joined()];
      const subject = `fw.v1.heartbeat.${node.org}.${node.id}`;
      const forged = Heartbeat.encode(Heartbeat.fromPartial({ node: other.id })).finish();
      const answered = (bytes: Uint8Array) =>
        node.nc.request(subject, bytes, { timeout: 300 }).then(
          () => true,
          () => false,
        );
      for (const bytes of [new Uint8Array([0xff, 0xff, 0xff]), new Uint8Array(256 * 1024).fill(0x5a), forged])
        assert.equal(await answered(bytes), false);
      await eventually(async () => (await node.beat()).known, RARELY);
    });

    it('that says goodbye takes the node offline at once', async () => {
      const [node, neighbour] = [await hub().connected(), await hub().connected()];
      await eventually(() => onlineFor(neighbour, node));
      assert.equal((await node.beat({ leaving: true })).known, true);
      await eventually(async () => !(await onlineFor(neighbour, node)));
    });

    describe('by an admin', () => {
      const admin = () => ({ token: hub().admin });
      it('a node that drains hears of it, and gets no new agents', async function () {
        if (hub().admin === undefined) this.skip();
        const node = await hub().connected();
        const agent = await node.register(`old-${node.name}`);
        await hub().registry.calls.drainNode({ node: node.id, undo: false }, admin());
        await nudged(node, 'drain');
        await eventually(async () => (await node.beat()).draining, RARELY);
        assert.equal(await reasonOf(node.register(`new-${node.name}`)), 'NODE_DRAINING');
        assert.equal((await node.register(agent.name)).id, agent.id);
        await hub().registry.calls.drainNode({ node: node.id, undo: true }, admin());
        await eventually(async () => !(await node.beat()).draining, RARELY);
      });

      it('a key is rotated: both are taken for a while', async function () {
        if (hub().admin === undefined) this.skip();
        const node = await hub().connected();
        await hub().registry.calls.requestKeyRotation({ node: node.id }, admin());
        await nudged(node, 'rotate');
        await eventually(async () => (await node.beat()).rotateKey, RARELY);
        const [old, next] = [node.key, newNodeKey()];
        const rotate = async (signer: typeof old, o: { wrong?: boolean } = {}) => {
          const nonce = await node.nonce();
          const text = rotationText(node.id, nonce, next.publicKey);
          const request = { nonce, newPublicKey: next.publicKey, signature: signer.sign(text) };
          const newSignature = o.wrong ? old.sign(text) : next.sign(text);
          return hub().registry.calls.rotateKey({ ...request, newSignature }, { token: node.token });
        };
        assert.equal(await reasonOf(rotate(newNodeKey())), 'SIGNATURE_INVALID');
        assert.equal(await reasonOf(rotate(old, { wrong: true })), 'SIGNATURE_INVALID');
        const { oldKeyUntilMs } = await rotate(old);
        assert.ok(oldKeyUntilMs > node.welcome!.brokerTimeUs / 1000);
        assert.equal((await rotate(old)).oldKeyUntilMs, oldKeyUntilMs, 'repeated');
        await node.hello();
        node.key = next;
        await node.connect();
        await eventually(async () => !(await node.beat()).rotateKey, RARELY);
      });

      it('a node that is removed is out at once and for good', async function () {
        if (hub().admin === undefined) this.skip();
        const node = await hub().connected();
        const ended = node.nc.closed();
        await hub().registry.calls.removeNode({ node: node.id }, admin());
        await ended;
        assert.equal(await reasonOf(node.hello()), 'NODE_REMOVED');
        assert.equal(await reasonOf(node.join(await hub().joinToken())), 'NODE_REMOVED');
      });
    });
  });
