/**
 * Goal: the registry says where an agent lives and where it has lived, for those who decide about receipts, and to nobody else.
 * Method: replicas on real servers; agents that move, are removed and come back, asked after by nodes, people and a service.
 */

import assert from 'node:assert/strict';
import { newId } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { reasonOf, type TestNode } from './fixture.ts';
import { movingRig } from './moving-rig.ts';

describe('homes of agents', function () {
  this.timeout(60_000);
  const rig = movingRig();
  const { node, agentOn, admin, reaches } = rig;

  const homesOf = async (asking: TestNode, ...agents: string[]) =>
    (await asking.client.agentHomes({ agents })).homes;

  it('are where it lives, and where its mail is on the way from', async () => {
    const [from, to] = [await node(), await node()];
    const agent = await agentOn(from);
    assert.deepEqual(await homesOf(to, agent.id), [{ agent: agent.id, nodes: [from.id], former: [] }]);
    await rig.router(() => true);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.name });
    await reaches(agent, 'handover');
    const [moving] = await homesOf(from, agent.id);
    assert.deepEqual(new Set(moving!.nodes), new Set([to.id, from.id]));
    assert.deepEqual(
      moving!.former.map((one) => one.node),
      [from.id],
    );
  });

  it('were, also once the agent is gone, and when it left', async () => {
    const from = await node();
    const agent = await agentOn(from);
    const before = Date.now();
    await (await admin()).deregisterAgent({ agent: agent.id });
    const [home] = await homesOf(from, agent.id);
    assert.deepEqual(home!.nodes, []);
    assert.deepEqual(
      home!.former.map((one) => one.node),
      [from.id],
    );
    const { leftAtMs } = home!.former[0]!;
    assert.ok(leftAtMs >= before - 2000 && leftAtMs <= Date.now() + 2000, String(leftAtMs - before));
  });

  it('are told of the caller’s own org, to nodes, of so many at once', async () => {
    const own = await node();
    const agent = await agentOn(own);
    const foreign = await node({ org: rig.world().orgs[1] });
    assert.deepEqual(await homesOf(foreign, agent.id), []);
    assert.deepEqual(await homesOf(own, newId('agent'), 'nonsense', ''), []);
    assert.equal(await reasonOf(own.client.agentHomes({ agents: [], org: 'o_other' })), 'ORG_NOT_YOURS');
    assert.equal(await reasonOf((await admin()).agentHomes({ agents: [agent.id] })), 'NOT_A_NODE');
    const many = Array.from({ length: 1001 }, () => agent.id);
    assert.equal(await reasonOf(own.client.agentHomes({ agents: many })), 'TOO_MANY_AGENTS');
  });
});
