/**
 * Goal: moves go on whoever of the replicas dies, in turn however many there are, and leave to each other what is another's.
 * Method: as in moving.service.test.ts.
 */

import assert from 'node:assert/strict';
import type { Agent } from '@fleetwire/gen/registry';
import { eventually } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import type { TestNode } from './fixture.ts';
import { movingRig } from './moving-rig.ts';

describe('moves under way', function () {
  this.timeout(60_000);
  const rig = movingRig();
  const { node, away, agentOn, admin, stateOf, reaches, restart, router, put, waiting } = rig;

  it('is carried on by another replica, and given up when whoever began it died before anything moved', async () => {
    const [from, to] = [await node(), await node()];
    const [agent, halfway] = [await agentOn(from), await agentOn(from)];
    let flushed = false;
    await router(() => flushed);
    await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await rig.store().query(
      `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason,
         state, started_at_ms, changed_at_ms)
       values ($1, nextval('route_epochs'), $2, $3, 0, $4, 0, 'asked', 'opening', 0, 0)`,
      [halfway.id, from.welcome.org, from.id, to.id],
    );
    await restart({});
    flushed = true;
    await reaches(agent, 'handover');
    await eventually(async () => (await stateOf(halfway)) === undefined);
    // The node that it was announced to does not wait for it for ever.
    assert.deepEqual(await waiting(to, halfway), ['end']);
    const kept = (await (await admin()).lookupAgent({ name: halfway.name })).agent!;
    assert.deepEqual([kept.node, kept.moving], [from.id, false]);
  });

  /** As if it had moved so before. */
  const noted = (agent: Agent, from: TestNode, to: TestNode, state: string) =>
    rig.store().query(
      `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason,
         state, started_at_ms, changed_at_ms)
       values ($1, nextval('route_epochs'), $2, $3, 0, $4, 0, 'asked', $5, 0, (extract(epoch from now()) * 1000)::bigint)`,
      [agent.id, from.welcome.org, from.id, to.id, state],
    );

  it('leaves to a later move what waits at a place that an earlier one had left too', async () => {
    const [from, to] = [await node(), await node()];
    const [again, once] = [await agentOn(to), await agentOn(to)];
    await away(from);
    await noted(again, from, to, 'done');
    await noted(again, from, to, 'waiting');
    await noted(once, from, to, 'done');
    for (const agent of [again, once]) await put(from, agent, 'waits');
    // Looked at one after the other.
    await eventually(async () => (await waiting(to, once)).length === 1);
    assert.deepEqual([await waiting(from, again), await waiting(to, again)], [['waits'], []]);
  });

  it('looks at all moves in turn, however many wait for nodes that are away', async () => {
    await restart({ moves_max: 1 });
    const [gone, from, to] = [await node(), await node(), await node()];
    const [waits, goes] = [await agentOn(gone), await agentOn(from)];
    await away(gone);
    for (const agent of [waits, goes]) await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
    await reaches(goes, 'handover');
    await reaches(waits, 'waiting');
  });

  it('looks for late mail at all places that were left lately, however many', async () => {
    await restart({ move_lost_ms: 100, moves_max: 1 });
    const [gone, to] = [await node(), await node()];
    const agents = [await agentOn(gone), await agentOn(gone), await agentOn(gone)];
    await away(gone);
    for (const agent of agents) {
      await (await admin()).moveAgent({ agent: agent.id, toNode: to.id });
      await reaches(agent, 'over');
      await put(gone, agent, 'late');
    }
    for (const agent of agents)
      await eventually(async () => (await waiting(to, agent)).includes('late+'), { timeoutMs: 45_000 });
  });
});
