/**
 * Goal: the node's key and its credentials change under load and nothing is lost; whatever dies in between, the node is
 * let in by one of the two keys afterwards. Method: servers in operator mode, credentials that live for seconds, a hub that
 * fails at each step.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNodeKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, describe, it } from 'mocha';
import { FakeHub, type FakeHubOptions } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

const HOUR = 3_600_000;
const OFTEN = { heartbeat_ms: '100' };
const AWAY = new FleetwireError('unavailable', 'AWAY', 'not now');

describe('credentials and key of a node', function () {
  this.timeout(90_000);
  let hub: FakeHub;
  let nodes: TestNode[] = [];
  afterEach(async () => {
    for (const node of nodes) await node.dispose();
    nodes = [];
    await hub.stop();
  });

  async function startAll(options: FakeHubOptions = {}): Promise<[TestNode, TestNode]> {
    hub = await FakeHub.start(options);
    nodes = [new TestNode(hub, 'left', OFTEN), new TestNode(hub, 'right', OFTEN)];
    for (const node of nodes) await (await node.start()).active();
    return nodes as [TestNode, TestNode];
  }
  const file = (node: TestNode) => join(node.folder.path, 'identity.json');
  const identity = (node: TestNode) => JSON.parse(readFileSync(file(node), 'utf8'));
  const known = (node: TestNode) => hub.nodes.get(identity(node).node)!;
  /** It has another key than `before`, alone, and the hub knows it. */
  const changed = (node: TestNode, before: string) =>
    eventually(() => {
      const { publicKey, next } = identity(node);
      return publicKey !== before && next === undefined && known(node).publicKey === publicKey;
    });

  /** Sends from left to right until `enough`, then checks that all of it came, once and in order, and was told of. */
  async function underLoad([left, right]: [TestNode, TestNode], enough: () => boolean): Promise<void> {
    const bob = await TestSession.open(right.client(), { name: 'bob' });
    const alice = await TestSession.open(left.client(), { name: 'alice', receipts: true });
    const sent: string[] = [];
    await eventually(
      () => {
        const texts = Array.from({ length: 20 }, (_, i) => String(sent.length + i));
        // The hub of this test is slow: no more than it can take.
        if (sent.length - bob.deliveries.length < 100) {
          alice.send('bob', texts);
          sent.push(...texts);
        }
        return enough();
      },
      { timeoutMs: 60_000 },
    );
    await eventually(() => bob.deliveries.length >= sent.length, { timeoutMs: 30_000 });
    assert.deepEqual(bob.texts(), sent);
    const told = () => alice.responses.flatMap(({ receipts }) => receipts?.receipts ?? []);
    await eventually(
      () =>
        new Set(
          told()
            .filter((r) => r.final)
            .map((r) => r.messageId),
        ).size === sent.length,
      {
        timeoutMs: 30_000,
      },
    );
  }

  it('are taken over by a second connection before they end, with nothing lost', async () => {
    // A slow machine has six seconds to take each over.
    const both = await startAll({ credentialsMs: 12_000 });
    const states = new Set<string>();
    const watching = both.map(({ client }, i) => ({ client: client.call(both[i]!), ended: false }));
    const looks = watching.map(async (watch) => {
      while (!watch.ended) states.add((await watch.client.nodeStatus({})).hub);
    });
    // Each reads its inbox anew by each connection: at first, and by two more.
    await underLoad(both, () => hub.opened >= 6);
    for (const watch of watching) watch.ended = true;
    await Promise.all(looks);
    assert.deepEqual([...states], ['active']);
    assert.doesNotMatch(hub.nats.log(), /expired/i);
  });

  it('change when the hub asks for it, once, with nothing lost', async () => {
    const both = await startAll({ credentialsMs: HOUR });
    const before = both.map((node) => identity(node).publicKey);
    hub.news = { rotateKey: true };
    const done = () =>
      both.every((node, i) => identity(node).publicKey !== before[i] && !identity(node).next);
    await underLoad(both, done);
    const beats = hub.beats.length;
    await eventually(() => hub.beats.length > beats + 10);
    assert.equal(hub.rotations, 2);
    for (const node of both) {
      // The former key is not needed for anything.
      known(node).former = '';
      await node.stop();
      await (await node.start()).active();
    }
  });

  it('change on a server without accounts too', async () => {
    const [left] = await startAll();
    const before = identity(left).publicKey;
    hub.news = { rotateKey: true };
    await changed(left, before);
    await left.active();
  });

  for (const when of ['before', 'after'] as const) {
    it(`change in the end when the hub dies ${when} it has taken the new key`, async () => {
      const [left] = await startAll({ credentialsMs: HOUR });
      const before = identity(left).publicKey;
      let tries = 0;
      hub.rotating = (now) => {
        if (now === when && tries++ < 3) throw AWAY;
      };
      hub.news = { rotateKey: true };
      await changed(left, before);
      await left.active();
    });

    it(`change in the end when the node dies and the hub had died ${when} it took the new key`, async () => {
      const [left] = await startAll({ credentialsMs: HOUR });
      const before = identity(left).publicKey;
      let tries = 0;
      let away = true;
      hub.rotating = (now) => {
        if (now !== when || !away) return;
        tries++;
        throw AWAY;
      };
      hub.news = { rotateKey: true };
      await eventually(() => tries > 0 && identity(left).next !== undefined);
      const begun = identity(left);
      await left.stop();
      // As it was at that moment: what was written later is lost.
      writeFileSync(file(left), JSON.stringify({ ...begun, publicKey: before }));
      away = false;
      await (await left.start()).active();
      await changed(left, before);
      assert.equal(identity(left).publicKey, begun.next.publicKey);
    });
  }

  it('work without the registry when the node died with two keys', async () => {
    const [left] = await startAll({ credentialsMs: HOUR });
    await left.stop();
    const { publicKey, seed, ...rest } = identity(left);
    const others = [
      { ...rest, ...createNodeKey(), next: { publicKey, seed } },
      { ...rest, publicKey, seed, next: createNodeKey() },
    ];
    await hub.stopRegistry();
    for (const held of others) {
      writeFileSync(file(left), JSON.stringify(held));
      await (await left.start()).active();
      await left.stop();
    }
    await hub.startRegistry();
  });
});
