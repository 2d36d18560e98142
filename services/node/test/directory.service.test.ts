/** Goal: local programs can ask who is in the org, with and without the hub. Method: a real node and the small hub. */

import assert from 'node:assert/strict';
import { SyncResponse } from '@fleetwire/gen/registry';
import { eventually } from '@fleetwire/testkit';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { outgoing, refusalOf } from './engine-fixture.ts';
import { FakeHub } from './fake-hub.ts';
import { TestNode } from './test-node.ts';

describe('directory of a node', function () {
  this.timeout(60_000);
  let hub: FakeHub;
  let node: TestNode;
  beforeEach(async () => {
    hub = await FakeHub.start();
    hub.syncRevision = 7;
    hub.sync = () =>
      SyncResponse.fromPartial({
        full: true,
        revision: 7,
        agents: [{ agent: 'a_1', name: 'carol', node: 'n_1', nodeName: 'desk', capabilities: ['review'] }],
        nodes: [{ node: 'n_1', name: 'desk', online: true }],
        channels: [{ channel: 'c_1', name: 'builds', members: ['a_1'] }],
      });
    node = new TestNode(hub, 'left', { heartbeat_ms: '50' });
    await (await node.start()).active();
  });
  afterEach(async () => {
    await node.dispose();
    await hub.stop();
  });

  it('knows the org, also after a restart without the hub, and no longer when that is too long ago', async () => {
    await eventually(async () => (await node.client().directory({})).current);
    const { agents, nodes, channels } = await node.client().directory({});
    assert.deepEqual([agents[0]!.name, nodes[0]!.name, channels[0]!.members], ['carol', 'desk', ['a_1']]);
    await hub.stopRegistry();
    await node.stop();
    const away = { nats_url: 'nats://127.0.0.1:1' };
    await node.start(away);
    const later = await node.client().directory({});
    assert.deepEqual([later.agents[0]!.name, later.current], ['carol', false]);
    await node.stop();
    await node.start({ ...away, directory_fresh_ms: '1' });
    const stale = await node.client().directory({});
    assert.deepEqual([stale.agents, stale.nodes, stale.channels], [[], [], []]);
    assert.ok(stale.asOfMs > 0);
  });

  it('helps with a mistyped name', async () => {
    await eventually(async () => (await node.client().directory({})).current);
    const refused = await refusalOf(() => node.client().send({ from: 'carl', message: outgoing('carol') }));
    assert.equal(refused.reason, 'AGENT_NOT_HERE');
    assert.match(refused.help ?? '', /carol lives on another node/);
  });
});
