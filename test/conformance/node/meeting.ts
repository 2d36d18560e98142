/** Cases of a node: joining, HELLO in both versions, and hubs that are not to be trusted. */

import { strict as assert } from 'node:assert';
import type { HelloRequest, HelloResponse } from '@fleetwire/gen/registry';
import { eventually } from '@fleetwire/testkit';
import { status } from '@grpc/grpc-js';
import { after, before, describe, it } from 'mocha';
import { helloText, isSigned, newHubKey, nodeHelloText } from '../wire/keys.ts';
import { Refused } from '../wire/rpc.ts';
import { NodeUnderTest } from './node-under-test.ts';
import type { Known, StandHub } from './stand-hub.ts';

const OTHER = newHubKey();
/** A call has a deadline, which is the node's own. */
const PATIENT = { timeoutMs: 50_000 };
const away = () => new Refused(status.UNAVAILABLE, { reason: 'NOT_NOW' });

export const meeting = (hub: () => StandHub) =>
  describe('meeting a hub', () => {
    /** Of those that meet hubs which are none: connections when they said HELLO. */
    const met = new Map<Known, number[]>();
    const wary: NodeUnderTest[] = [];
    before(() => {
      hub().onKnown = (node) => {
        const lies = LIES[node.name];
        if (lies === undefined) return;
        met.set(node, []);
        node.onHello = (request) => {
          met.get(node)!.push(linksOf(hub(), node));
          node.welcome = lies[node.hellos.length - 1]?.(request) ?? {};
        };
      };
      // They go on by themselves while the other cases run.
      for (const name of Object.keys(LIES)) wary.push(new NodeUnderTest(hub(), name).start());
    });
    after(() => Promise.all(wary.map((node) => node[Symbol.asyncDispose]())));

    it('joins again with the same key and name when nobody knows what became of the first time', async () => {
      await using node = new NodeUnderTest(hub(), 'joiner');
      const mine = () => hub().joins.filter(({ nodeName }) => nodeName === 'joiner');
      hub().onJoin = ({ nodeName }) => {
        if (nodeName === 'joiner' && mine().length === 1) throw away();
      };
      await node.active();
      const [first, second] = mine();
      assert.match(first!.publicKey, /^U[A-Z2-7]{55}$/);
      assert.deepEqual(second, first);
    });

    it('says HELLO with all that version 2 has, and again after an answer that is too large', async () => {
      await using node = await new NodeUnderTest(hub(), 'greeter').active();
      const hello = node.known.hellos[0]!;
      assert.ok(isSigned(node.known.keys[0]!, nodeHelloText(hello), hello.signature));
      assert.deepEqual([hello.protocol, hello.protocols.includes(2)], ['2', true]);
      assert.equal(hello.challenge.length, 32);
      assert.ok([hello.instance, hello.machine, hello.version, hello.platform].every((text) => text !== ''));
      assert.equal(hello.rosterDigest, 0);
      await node.stop();
      // An answer above the bounds first: it asks again.
      node.known.welcome = { trust: 'x'.repeat(9 * 1024 * 1024) };
      node.known.onHello = () => {
        if (node.known.hellos.length > 2) node.known.welcome = {};
      };
      await node.active();
      assert.ok(node.known.hellos.length > 2);
      const again = node.known.hellos.at(-1)!;
      assert.notDeepEqual(again.challenge, hello.challenge);
      assert.notEqual(again.instance, hello.instance);
      assert.deepEqual([again.machine, again.node], [hello.machine, hello.node]);
    });

    it('serves under a hub of version 1 as one of before, if it speaks that and none has ever proved itself', async function () {
      hub().only = 1;
      try {
        await using node = new NodeUnderTest(hub(), 'elder').start();
        const { protocols } = await eventually(() => hub().node('elder').hellos[0]);
        if (!protocols.includes(1)) return this.skip();
        await node.active();
        const hello = node.known.hellos.at(-1)!;
        assert.equal(hello.protocol, '1');
        assert.equal((await node.status()).protocol, 1);
      } finally {
        hub().only = undefined;
      }
    });

    it('goes on by the credentials of last time while the registry is away, and says HELLO before any heartbeat', async () => {
      await using node = await new NodeUnderTest(hub(), 'steady').active();
      const { known } = node;
      await node.host('sal');
      await node.stop();
      await eventually(() => linksOf(hub(), known) === 0);
      const beats = known.beats.length;
      const gone = () => {
        throw away();
      };
      // There is nobody; and somebody takes the call, and never answers.
      for (const onHello of [gone, () => new Promise(() => undefined)]) {
        known.onHello = onHello;
        const packs = known.packs.length;
        node.start();
        await node.send('sal', 'far', 'out');
        await eventually(() => known.packs.length > packs, PATIENT);
        const hellos = known.hellos.length;
        await eventually(() => known.hellos.length > hellos, PATIENT);
        assert.equal(known.beats.length, beats);
        if (onHello === gone) await node.stop();
      }
      known.onHello = () => undefined;
      await eventually(() => known.beats.length > beats, PATIENT);
      assert.equal(known.beats.at(-1)!.instance, known.hellos.at(-1)!.instance);
    });

    it('waits as long as a refusal asks it to, and comes back', async () => {
      await using node = await new NodeUnderTest(hub(), 'patient').active();
      const { known } = node;
      const refusal = (reason: string) =>
        new Refused(status.FAILED_PRECONDITION, { reason, retryAfterMs: 10 });
      known.onHello = () => {
        throw refusal('IDENTITY_IN_USE');
      };
      known.news = { known: false, refused: 'IDENTITY_IN_USE' };
      await eventually(async () => (await node.status()).hub === 'refused');
      await eventually(() => linksOf(hub(), known) === 0);
      Object.assign(known, { onHello: () => undefined, news: {} });
      await eventually(async () => (await node.status()).hub === 'active', { timeoutMs: 30_000 });
    });

    it('does not connect to a hub that does not prove itself, nor in version 1 once it has a key of its hub', async () => {
      for (const name of ['careful', 'upright']) {
        const known = await eventually(() => hub().node(name).beats.length > 0 && hub().node(name), {
          timeoutMs: 50_000,
        });
        // Three lies and then the truth; what it says later it may say while connected.
        const connections = met.get(known)!.slice(0, 4);
        assert.deepEqual(connections, [0, 0, 0, 0], `connections of ${name} at each HELLO`);
        assert.ok(known.hellos.every(({ protocol }) => protocol === '2'));
      }
    });
  });

/** Its open connections. */
function linksOf({ servers }: StandHub, { keys }: Known): number {
  const mine = servers.links.filter(({ key }) => keys.includes(key));
  return (
    mine.filter(({ what }) => what === 'connect').length -
    mine.filter(({ what }) => what === 'disconnect').length
  );
}

/** What each HELLO in turn is answered; then the truth. */
const LIES: Readonly<Record<string, readonly ((request: HelloRequest) => Partial<HelloResponse>)[]>> = {
  careful: [
    // A signature that is none, one of another challenge, and a good one by another key.
    () => ({ challengeResponse: new Uint8Array(64) }),
    ({ node, nonce }) => ({ challengeResponse: OTHER.sign(helloText(node, new Uint8Array(32), nonce)) }),
    ({ node, nonce, challenge }) => ({
      hubKey: OTHER.publicKey,
      challengeResponse: OTHER.sign(helloText(node, challenge, nonce)),
    }),
  ],
  upright: [
    () => ({ hubKey: '', challengeResponse: new Uint8Array() }),
    () => ({ protocol: 0 }),
    () => {
      const details = { supported: '1' };
      throw new Refused(status.FAILED_PRECONDITION, { reason: 'PROTOCOL_UNSUPPORTED', details });
    },
  ],
};
