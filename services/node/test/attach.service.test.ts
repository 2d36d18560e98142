/**
 * Goal: a stream that says nothing takes part in the bound on sessions, and does not stay.
 * Method: a real node and streams without a hello.
 */

import assert from 'node:assert/strict';
import type { AttachRequest } from '@fleetwire/gen/node';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { refusalOf } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { type NodeClient, TestNode, TestSession } from './test-node.ts';

describe('attach', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  /** A session that never says anything; gives what it is refused with. */
  function mute(client: NodeClient) {
    return refusalOf(async () => {
      for await (const _ of client.attach(silence())) assert.fail('an answer to nothing');
    });
  }

  it('ends a session that does not say hello in time', async () => {
    node = await new TestNode(hub, 'left', { hello_ms: '50' }).start();
    const error = await mute(node.client());
    assert.deepEqual([error.kind, error.reason], ['deadline_exceeded', 'HELLO_TIMEOUT']);
  });

  it('counts those that have not said hello, until they are gone', async () => {
    node = await new TestNode(hub, 'left', { sessions: '2', hello_ms: '2500' }).start();
    const client = node.client();
    const reasons: string[] = [];
    for (let i = 0; i < 3; i++) void mute(client).then((error) => reasons.push(error.reason));
    await eventually(() => reasons.length === 1);
    assert.deepEqual(reasons, ['TOO_MANY_SESSIONS']);
    await eventually(() => reasons.length === 3);
    assert.deepEqual(reasons.slice(1), ['HELLO_TIMEOUT', 'HELLO_TIMEOUT']);
    for (const name of ['alice', 'bob']) await TestSession.open(client, { name });
  });
});

function silence(): AsyncIterable<AttachRequest> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
}
