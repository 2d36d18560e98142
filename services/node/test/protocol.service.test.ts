/**
 * Goal: node and hub agree on a version, each knows the other, and a hub that is not the one that the node believes gets
 * nowhere; what the hub says by heartbeat is heeded. Method: a real node, a hub of either version, honest or not.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { heartbeatSubject, peerSubject } from '@fleetwire/contract';
import { hubKeyOf, rosterDigest } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import { outgoing, refusalOf } from './engine-fixture.ts';
import { FakeHub, type FakeHubOptions, hubSigning, TEST_ORG } from './fake-hub.ts';
import { type NodeSettings, TestNode, TestSession } from './test-node.ts';

const OFTEN = { heartbeat_ms: '50' };
const SELDOM = { heartbeat_ms: '60000' };

describe('protocol 2 of a node', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  async function startAll(settings: NodeSettings = OFTEN, options: FakeHubOptions = {}): Promise<void> {
    hub = await FakeHub.start(options);
    node = new TestNode(hub, 'left', settings);
    await (await node.start()).active();
  }
  const status = () => node.client().nodeStatus({});
  const file = () => join(node.folder.path, 'identity.json');
  const identity = () => JSON.parse(readFileSync(file(), 'utf8'));
  const rewrite = (change: object) => writeFileSync(file(), JSON.stringify({ ...identity(), ...change }));
  const pinned = () => hubKeyOf(hub.signing!);

  describe('who is who', () => {
    it('says who and what it is, and pins the hub that it joined', async () => {
      await startAll({ ...OFTEN, labels: 'gpu,region.eu', tools: 'sh,no-such-tool' });
      assert.equal(identity().hubKey, pinned());
      assert.equal((await status()).protocol, 2);
      const said = hub.helloRequests.at(-1)!;
      assert.deepEqual([said.protocol, said.protocols], ['2', [2, 1]]);
      assert.deepEqual([said.facts?.capabilities, said.facts?.tools], [['gpu', 'region.eu'], ['sh']]);
      assert.match(said.machine, /^[0-9a-f]{64}$/);
      await node.stop();
      await (await node.start()).active();
      const again = hub.helloRequests.at(-1)!;
      assert.equal(again.machine, said.machine);
      assert.notEqual(again.instance, said.instance);
    });

    it('pins the first hub that proves itself when it joined before', async () => {
      await startAll(OFTEN, { protocol: 1 });
      assert.deepEqual([identity().hubKey, (await status()).protocol], [undefined, 1]);
      await node.stop();
      hub.protocol = 2;
      await (await node.start()).active();
      assert.deepEqual([identity().hubKey, (await status()).protocol], [pinned(), 2]);
    });

    it('works with a hub of protocol 1, and with one that has no key of its own', async () => {
      await startAll(OFTEN, { protocol: 1 });
      const alice = await TestSession.open(node.client(), { name: 'alice' });
      const bob = new TestNode(hub, 'right');
      const session = await TestSession.open((await bob.start()).client(), { name: 'bob' });
      alice.send('bob', ['hello']);
      await eventually(() => session.texts().includes('hello'));
      await bob.dispose();
      await node.stop();
      hub.protocol = 2;
      hub.signing = undefined;
      await (await node.start()).active();
      assert.equal(identity().hubKey, undefined);
    });

    const liars: Record<string, () => void> = {
      'has another key': () => {
        hub.signing = hubSigning('somebody else');
      },
      'names the key but does not hold it': () => {
        hub.forging = hubSigning('somebody else');
      },
      'names no key': () => {
        hub.signing = undefined;
      },
      'speaks protocol 1 only': () => {
        hub.protocol = 1;
      },
      'claims to speak protocol 1': () => {
        hub.welcome = { protocol: 1 };
      },
    };
    for (const [what, lie] of Object.entries(liars)) {
      it(`does not connect to a hub that ${what}`, async () => {
        await startAll();
        const [before, said] = [identity(), hub.helloRequests.length];
        await node.stop();
        lie();
        await node.start();
        await eventually(async () => /not to be trusted/.test((await status()).hubError));
        const { hub: state, hubError } = await status();
        assert.match(hubError, /take hubKey out of its identity\.json/);
        assert.equal(state, 'connecting');
        assert.deepEqual(identity(), before);
        const beats = hub.beats.length;
        const hellos = hub.helloRequests.length;
        await eventually(() => hub.helloRequests.length > hellos);
        assert.equal(hub.beats.length, beats);
        assert.deepEqual(
          new Set(hub.helloRequests.slice(said).map(({ protocol }) => protocol)),
          new Set(['2']),
        );
      });
    }

    it('names an identity whose later fields are damaged', async () => {
      await startAll();
      await node.stop();
      for (const change of [{ hubKey: 7 }, { next: {} }, { next: null }, { next: { seed: 'x' } }]) {
        rewrite(change);
        assert.equal((await refusalOf(() => node.start())).reason, 'NODE_FILE_DAMAGED');
      }
    });

    it('waits as long as it is told to when it says HELLO too often', async () => {
      await startAll();
      await node.stop();
      hub.refusing = new FleetwireError('resource_exhausted', 'HELLO_TOO_OFTEN', 'slowly', {
        retryAfterMs: 3000,
      });
      await node.start();
      const { refusedAtMs } = hub;
      await eventually(() => refusedAtMs.length > 1);
      assert.ok(refusedAtMs[1]! - refusedAtMs[0]! > 2900);
    });
  });

  describe('heartbeats', () => {
    it('tell of the roster, and of the machine once', async () => {
      await startAll();
      await TestSession.open(node.client(), { name: 'alice' });
      const digest = rosterDigest([hub.agents.get('alice')!.id]);
      await eventually(() => hub.beats.at(-1)?.rosterDigest === digest);
      const { instance, protocol, load, facts, leaving } = hub.beats.at(-1)!;
      assert.equal(instance, hub.helloRequests.at(-1)!.instance);
      assert.deepEqual([protocol, facts, leaving], [2, undefined, false]);
      assert.ok(load >= 0 && load <= 10);
    });

    it('do not go out because somebody else than the registry asks', async () => {
      await startAll(SELDOM);
      await eventually(() => hub.beats.length === 1);
      for (let i = 0; i < 10; i++) hub.nudge(node.id, 'roster', 'router');
      const other = heartbeatSubject.build({ org: TEST_ORG, node: 'n_0000000000000009' });
      await hub.broker.request(other, new Uint8Array(), 5000);
      assert.equal(hub.beats.length, 2, 'only the one of this test');
    });

    it('go out at once on a nudge, readable or not, and not more often than they should', async () => {
      await startAll(SELDOM);
      await eventually(() => hub.beats.length === 1);
      const since = performance.now();
      for (let i = 0; i < 500; i++) hub.nudge(node.id, 'roster');
      await eventually(() => hub.beats.length > 1);
      const subject = peerSubject.build({ org: TEST_ORG, to: node.id, from: 'registry' });
      hub.broker.publish(subject, new Uint8Array([255, 255]));
      await eventually(() => hub.beats.length > 2);
      assert.ok(hub.beats.length <= 3 + (performance.now() - since) / 100);
    });

    it('make it drain: no new agents, the others go on, also after a restart without the hub', async () => {
      await startAll();
      const alice = await TestSession.open(node.client(), { name: 'alice' });
      hub.news = { draining: true };
      await eventually(async () => (await status()).draining);
      const refused = await refusalOf(() => TestSession.open(node.client(), { name: 'bob' }));
      assert.deepEqual([refused.kind, refused.reason], ['failed_precondition', 'NODE_DRAINING']);
      alice.send('alice', ['still here']);
      await eventually(() => alice.texts().includes('still here'));
      await node.stop();
      await hub.stopRegistry();
      await node.start();
      assert.equal((await status()).draining, true);
      await hub.startRegistry();
      hub.news = { draining: false };
      await eventually(async () => !(await status()).draining);
      await TestSession.open(node.client(), { name: 'bob' });
    });

    it('follow HELLO, also when it connected while the registry was away', async () => {
      await startAll();
      await node.stop();
      await hub.stopRegistry();
      const beats = hub.beats.length;
      await (await node.start()).active();
      const { instance } = hub.helloRequests.at(-1)!;
      await hub.startRegistry();
      await eventually(() => hub.beats.length > beats);
      const now = hub.helloRequests.at(-1)!.instance;
      assert.notEqual(now, instance);
      assert.deepEqual(new Set(hub.beats.slice(beats).map((beat) => beat.instance)), new Set([now]));
    });

    it('tell it of another machine that tried to be this node', async () => {
      await startAll();
      hub.news = { contender: 'pi at 10.0.0.7 since 12:00' };
      await eventually(async () => (await status()).contender === hub.news.contender);
      hub.news = {};
      await eventually(async () => (await status()).contender === '');
    });

    for (const reason of ['NODE_REMOVED', 'OWNER_DEPARTED', 'IDENTITY_IN_USE', 'KEY_RETIRED']) {
      it(`make it refused by ${reason}, and HELLO takes it back`, async () => {
        await startAll();
        hub.news = { known: false, refused: reason };
        hub.refusing = new FleetwireError('failed_precondition', reason, 'no place for it');
        await eventually(async () => (await status()).hub === 'refused');
        assert.ok((await status()).hubError.startsWith(`${reason}: `));
        assert.ok((await status()).hubError.includes(node.folder.path));
        hub.news = {};
        hub.refusing = undefined;
        await eventually(async () => (await status()).hub === 'active');
      });
    }

    it('come as often as the hub asks for', async () => {
      hub = await FakeHub.start();
      hub.welcome = { heartbeatMs: 40, livenessMs: 100 };
      node = await new TestNode(hub, 'left').start();
      await eventually(() => hub.beats.length > 5);
    });

    it('say goodbye at a stop', async () => {
      await startAll(SELDOM);
      await node.stop();
      assert.equal(hub.beats.at(-1)?.leaving, true);
    });

    it('do not hold up a stop when the hub is silent', async () => {
      // An answer is waited for as long as this test may take.
      await startAll({ ...OFTEN, hub_timeout_ms: '60000' });
      hub.answering = false;
      const beats = hub.beats.length;
      await node.stop();
      assert.equal(hub.beats.length, beats);
    });
  });

  it('keeps what was sent while the hub was not to be trusted', async () => {
    await startAll();
    (await TestSession.open(node.client(), { name: 'alice' })).close();
    await node.stop();
    const honest = hub.signing;
    hub.signing = hubSigning('somebody else');
    await node.start();
    const { id } = await node.client().send({ from: 'alice', message: outgoing('carol', 'later') });
    await eventually(async () => /not to be trusted/.test((await status()).hubError));
    assert.ok(!hub.ingress.includes(id));
    hub.signing = honest;
    await eventually(() => hub.ingress.includes(id));
  });
});
