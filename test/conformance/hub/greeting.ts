/** Cases of a hub: challenge, HELLO and WELCOME in both versions, and one machine for each identity. */

import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import type { HelloRequest } from '@fleetwire/gen/registry';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { claimsOf, newId, newNodeKey, nodeHelloText } from '../wire/keys.ts';
import { reasonOf, refusal } from '../wire/rpc.ts';
import type { Hub } from './hub-under-test.ts';

const byText = (a: string, b: string) => (a < b ? -1 : 1);

/** A hub bounds heartbeats. */
const RARELY = { everyMs: 300 };

export const greeting = (hub: () => Hub) =>
  describe('hello', () => {
    it('proves the hub, and says what the node needs', async () => {
      const node = await hub().joined();
      const welcome = await node.hello();
      assert.deepEqual([welcome.protocol, welcome.org, welcome.nodeName], [2, node.org, node.name]);
      assert.ok(welcome.natsUrls.length > 0 && welcome.nodeToken !== '' && welcome.brokerTimeUs > 1e15);
      assert.ok(welcome.heartbeatMs > 0 && welcome.livenessMs > welcome.heartbeatMs);
      assert.ok(Array.isArray(JSON.parse(welcome.trust).keys));
      assert.deepEqual([welcome.draining, welcome.rosterDiffers, welcome.moving], [false, false, []]);
      const again = await node.hello({ rosterDigest: 7 });
      assert.deepEqual([again.hubKey, again.rosterDiffers], [welcome.hubKey, true]);
    });

    it('speaks version 1 to a node of before', async () => {
      const node = await hub().joined();
      const nonce = await node.nonce();
      const first = { node: node.id, nonce, signature: node.key.sign(nonce), protocol: '1' };
      const welcome = await hub().registry.calls.hello({ ...first, version: '0.0.9', platform: 'test-none' });
      assert.ok(welcome.protocol <= 1 && welcome.userJwt !== '' && welcome.nodeToken !== '');
    });

    it('takes the newest version that both speak, and says what it speaks when there is none', async () => {
      const node = await hub().joined();
      assert.equal((await node.hello({ protocol: '9', protocols: [9, 2] })).protocol, 2);
      assert.ok((await node.hello({ protocol: '9', protocols: [9, 1] })).protocol <= 1);
      for (const alien of [{ protocol: '9' }, { protocol: 'two' }, { protocol: '' }]) {
        const { reason, details } = await refusal(node.hello({ ...alien, protocols: [] }));
        assert.deepEqual([reason, details['supported']], ['PROTOCOL_UNSUPPORTED', '2,1']);
      }
    });

    it('refuses what the key has not signed', async () => {
      const node = await hub().joined();
      const nonce = await node.nonce();
      const stranger = newNodeKey();
      const text = nodeHelloText(await node.helloRequest({ nonce }));
      for (const signature of [
        stranger.sign(text),
        // As in version 1: it says nothing of what else is in there.
        node.key.sign(nonce),
        node.key.sign(randomBytes(56)),
        new Uint8Array(64),
        new Uint8Array(),
      ])
        assert.equal(await reasonOf(node.hello({ nonce, signature })), 'SIGNATURE_INVALID');
      await node.hello({ nonce });
    });

    it('refuses a HELLO of which anything is another than the key has signed', async () => {
      const node = await hub().joined();
      const said = await node.helloRequest({ protocols: [2, 1], rosterDigest: 3 });
      const facts = said.facts!;
      const altered: Partial<HelloRequest>[] = [
        { protocol: '1' },
        { protocol: '1', protocols: [] },
        { protocols: [1] },
        { version: `${said.version}\n` },
        { platform: '' },
        { challenge: new Uint8Array(randomBytes(32)) },
        { challenge: new Uint8Array() },
        { instance: 'another' },
        { machine: '' },
        { instance: said.machine, machine: said.instance },
        { host: 'another' },
        { facts: undefined },
        { facts: { ...facts, capabilities: [] } },
        { facts: { ...facts, tools: [...facts.tools, 'docker'] } },
        { facts: { ...facts, cpus: 3 } },
        { facts: { ...facts, memoryBytes: 1 } },
        { rosterDigest: 4 },
      ];
      for (const change of altered)
        assert.equal(
          await reasonOf(hub().registry.calls.hello({ ...said, ...change })),
          'SIGNATURE_INVALID',
          JSON.stringify(change),
        );
      assert.equal((await hub().registry.calls.hello(said)).protocol, 2);
    });

    it('takes nothing of version 2 out of a HELLO of version 1, which is not signed', async () => {
      const node = await hub().joined();
      const said = await node.helloRequest({ protocol: '1', protocols: [2, 1] });
      assert.ok((await hub().registry.calls.hello(said)).protocol <= 1);
    });

    it('refuses a nonce of another node, one that was used, and one that is none', async () => {
      const [node, other] = [await hub().joined(), await hub().joined()];
      const foreign = await node.nonce(other.id);
      assert.equal(await reasonOf(node.hello({ nonce: foreign })), 'CHALLENGE_INVALID');
      const request = await node.helloRequest();
      await hub().registry.calls.hello(request);
      assert.equal(await reasonOf(hub().registry.calls.hello(request)), 'CHALLENGE_INVALID');
      for (const nonce of [new Uint8Array(), new Uint8Array(56), new Uint8Array(randomBytes(4096))])
        assert.equal(await reasonOf(node.hello({ nonce })), 'CHALLENGE_INVALID');
    });

    it('refuses a challenge of another length than 32 bytes', async () => {
      const node = await hub().joined();
      assert.equal(await reasonOf(node.hello({ challenge: new Uint8Array(31) })), 'INVALID_CHALLENGE');
    });

    it('tells nobody whether a node exists before it has proved to be it', async () => {
      const node = hub().stranger();
      node.id = newId('n', node.name);
      assert.equal(await reasonOf(node.hello()), 'NODE_UNKNOWN');
    });

    it('bounds how often a node may say it', async () => {
      const node = await hub().joined();
      const often = await eventually(async () => {
        const refused = await node.hello().then(
          () => undefined,
          (error) => error,
        );
        return refused?.reason === 'HELLO_TOO_OFTEN' && refused;
      });
      assert.ok(often.retryAfterMs > 0);
    });

    it('gives credentials for exactly the subjects of this node, that end', async () => {
      const node = await hub().joined();
      const { userJwt, userJwtExpiresAtMs, partition, shard } = await node.hello();
      const { nats, sub, exp } = claimsOf(userJwt);
      const { org, id } = node;
      assert.equal(shard, 0);
      assert.deepEqual([sub, exp * 1000], [node.key.publicKey, userJwtExpiresAtMs]);
      assert.deepEqual(nats.pub.allow.toSorted(byText), [
        `$JS.ACK.INBOX.node-${id}.>`,
        `$JS.API.CONSUMER.MSG.NEXT.INBOX.node-${id}`,
        `fw.v1.dead.${org}.*.${id}`,
        `fw.v1.heartbeat.${org}.${id}`,
        `fw.v1.ingress.${partition}.${org}.${id}`,
        `fw.v1.peer.${org}.*.${id}`,
        `fw.v1.receipt.${org}.*.${id}`,
      ]);
      assert.deepEqual(nats.sub.allow.toSorted(byText), [
        `_INBOX_${id}.>`,
        `fw.v1.event.${org}.org.*`,
        `fw.v1.peer.${org}.${id}.*`,
        `fw.v1.receipt.${org}.${id}.*`,
      ]);
      assert.deepEqual([nats.pub.deny ?? [], nats.sub.deny ?? []], [[], []]);
    });

    it('refuses a second machine while the first is there, and tells both', async () => {
      const node = await hub().connected();
      assert.equal((await node.beat()).known, true);
      const copy = { machine: 'another-machine', instance: 'another-instance', host: 'thief' };
      const { reason, retryAfterMs } = await refusal(node.hello(copy));
      assert.equal(reason, 'IDENTITY_IN_USE');
      assert.ok(retryAfterMs !== undefined && retryAfterMs > 0);
      const { known } = await eventually(async () => {
        const reply = await node.beat();
        return reply.contender.includes('thief') && reply;
      }, RARELY);
      assert.equal(known, true);
      await eventually(() =>
        node.frames.some(({ from, nudge }) => from === 'registry' && nudge === 'identity'),
      );
    });

    it('takes a restarted process of the same machine, and refuses the heartbeats of the one before', async () => {
      const node = await hub().connected();
      const { instance } = node;
      node.instance = 'after-a-restart';
      await node.hello();
      assert.equal((await node.beat()).known, true);
      const { known, refused } = await node.beat({ instance });
      assert.deepEqual([known, refused], [false, 'IDENTITY_IN_USE']);
    });

    it('takes another machine at once when the first has said goodbye', async () => {
      const node = await hub().connected();
      await node.beat({ leaving: true });
      await eventually(async () => {
        const moved = { machine: 'its-new-machine', instance: 'new' };
        return (await node.hello(moved)).protocol === 2;
      });
    });
  });
