// Goal: a client that is turned away comes back by itself, less and less often, and what it sent meanwhile goes out once.
// Method: a fake node on real gRPC that breaks off, refuses for a while, and then takes the client again.

import { strict as assert } from 'node:assert';
import { SDK_LIMITS } from '@fleetwire/sdk';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { FakeNode } from './fake-node.ts';

describe('coming back', () => {
  let node: FakeNode;
  beforeEach(async () => {
    node = await new FakeNode().start();
  });
  afterEach(() => node.end());

  it('waits longer from try to try, and sends what waited, once and in order', async () => {
    const alice = await node.attach('alice');
    node.full = true;
    await node.kill();
    await node.startAt(node.address);
    const sent = ['1', '2', '3'].map((body) => alice.send('bob', body));
    const tries = 6;
    await eventually(() => node.turnedAway.length >= tries, { timeoutMs: 30_000 });
    assert.equal(alice.connected, false);
    // Half of each doubled wait is certain, the rest is chance; the first one was before the first of these tries.
    const { initialMs } = SDK_LIMITS.reconnect;
    let least = 0;
    for (let i = 1; i < tries; i++) {
      least += (initialMs * 2 ** i) / 2;
      const took = node.turnedAway[i]! - node.turnedAway[0]!;
      assert(took >= least - i, `try ${i + 1} came after ${took} ms, before ${least} ms`);
    }
    node.full = false;
    await Promise.all(sent);
    assert.deepEqual(
      node.accepted.map((message) => Buffer.from(message.body).toString()),
      ['1', '2', '3'],
    );
    assert.equal(alice.connected, true);
  });
});
