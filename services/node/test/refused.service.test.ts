/**
 * Goal: a node that its hub does not take says so and why, goes on between its own agents, and comes back by itself once it
 * is taken. Method: a real node, a hub that does not know it any more or whose org is closed.
 */

import assert from 'node:assert/strict';
import { FleetwireError } from '@fleetwire/kernel';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { FakeHub } from './fake-hub.ts';
import { TestNode, TestSession } from './test-node.ts';

describe('a node that its hub refuses', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
    node = new TestNode(hub, 'left', { heartbeat_ms: '50' });
    await (await node.start()).active();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  const status = () => node.client().nodeStatus({});
  function refuse(kind: 'not_found' | 'failed_precondition', reason: string): void {
    hub.refusing = new FleetwireError(kind, reason, 'no place for it');
    hub.known = false;
  }

  it('says why and which folder to move away, and serves its own agents', async () => {
    const [alice, bob] = [
      await TestSession.open(node.client(), { name: 'alice' }),
      await TestSession.open(node.client(), { name: 'bob' }),
    ];
    refuse('not_found', 'NODE_UNKNOWN');
    await eventually(async () => (await status()).hub === 'refused');
    const { hubError } = await status();
    assert.match(hubError, /^NODE_UNKNOWN: no place for it; stop this node, move /);
    assert.ok(hubError.includes(`move ${node.folder.path} away`));
    // A newcomer is told so, not only that the hub is away.
    const newcomer = { name: 'eve', adapter: 'mailbox' };
    const isRefusal = (error: unknown) =>
      error instanceof FleetwireError && error.reason === 'NODE_REFUSED' && error.message.includes(hubError);
    await assert.rejects(async () => node.client().runAgent(newcomer), isRefusal);
    alice.send('bob', ['still here']);
    await eventually(() => bob.texts().includes('still here'));
    // Nor does it go by what it remembers when the registry is away after that.
    hub.refusing = new FleetwireError('unavailable', 'AWAY', 'not now');
    const before = hub.refusedAtMs.length;
    await eventually(() => hub.refusedAtMs.length > before + 1);
    alice.send('bob', ['and here']);
    await eventually(() => bob.texts().includes('and here'));
    assert.deepEqual([(await status()).hub, (await status()).hubError], ['refused', hubError]);
  });

  it('keeps what it could not send, and is at work again when its org is restored', async () => {
    const alice = await TestSession.open(node.client(), { name: 'alice' });
    refuse('failed_precondition', 'ORG_CLOSED');
    await eventually(async () => (await status()).hub === 'refused');
    assert.match((await status()).hubError, /^ORG_CLOSED: .*; wait until the org is restored, or stop this/);
    alice.send('carol', ['later']);
    await eventually(() => alice.accepted.size === 1);
    hub.agents.clear();
    hub.refusing = undefined;
    await eventually(() => hub.ingress.includes(alice.accepted.get(1)!), { timeoutMs: 40_000 });
    await eventually(async () => (await status()).hub === 'active');
    assert.equal((await status()).hubError, '');
    await eventually(() => hub.agents.has('alice'));
  });

  it('is told at once when it starts without a place', async () => {
    await node.stop();
    refuse('not_found', 'NODE_UNKNOWN');
    await node.start();
    await eventually(async () => (await status()).hub === 'refused');
  });
});
