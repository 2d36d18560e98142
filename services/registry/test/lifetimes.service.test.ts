/**
 * Goal: an agent's name changes, lapses and comes to rest as told: renamed by who may, gone with a node that stays silent,
 * suspended with its workspace; its id stays as long as it lives. Method: two replicas, and one to which all are silent soon.
 */

import assert from 'node:assert/strict';
import { filters } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import { PeerFrame } from '@fleetwire/gen/message';
import { isName } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  beat,
  beatAs,
  errorOf,
  type RegistryClient,
  type RegistryWorld,
  reasonOf,
  registered as register,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';

describe('lifetimes of names', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let laptop: TestNode;
  let desk: TestNode;
  let admin: RegistryClient;
  const events: Event[] = [];
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    const broker = await world.broker();
    broker.subscribe(filters.eventsOf(world.orgs[0], 'registry'), (m) => events.push(Event.decode(m.data)));
    [laptop, desk] = await Promise.all([world.node(one, 'laptop'), world.node(two, 'desk')]);
    admin = await world.asUser(one, ['admin']);
  });
  after(() => world?.[Symbol.asyncDispose]());
  const goodbye = async (node: TestNode) =>
    beatAs(await world.nodeBroker(node), node, world.orgs[0], { instance: '', leaving: true });
  const told = (name: string, target: string) =>
    eventually(() => events.find((event) => event.name === name && event.target === target));

  it('a renamed agent keeps its id; its old name is free, its new one found at once', async () => {
    const agent = await register(laptop, 'before');
    const frames: string[] = [];
    const watching = await world.broker();
    watching.subscribe(filters.framesToNode(world.orgs[0], laptop.id), (m) =>
      frames.push(PeerFrame.decode(m.data).nudge),
    );
    await admin.renameAgent({ agent: 'before', name: 'After' });
    const found = (await admin.lookupAgent({ name: 'after' })).agent!;
    assert.deepEqual([found.id, found.name], [agent.id, 'After']);
    assert.ok(found.epoch > agent.epoch);
    assert.equal((await world.route(agent.id))?.name, 'After');
    assert.equal(await reasonOf(admin.lookupAgent({ name: 'before' })), 'UNKNOWN_AGENT');
    await eventually(() => frames.includes('roster'));
    const recased = await laptop.client.renameAgent({ agent: agent.id, name: 'AFTER' });
    assert.equal(recased.agent!.name, 'AFTER');
    assert.equal(
      (await laptop.client.renameAgent({ agent: agent.id, name: 'AFTER' })).agent!.epoch,
      recased.agent!.epoch,
    );
    const other = await register(desk, 'before');
    const taken = await errorOf(desk.client.renameAgent({ agent: other.id, name: 'after' }));
    assert.equal(taken?.reason, 'NAME_TAKEN');
    assert.ok(isName(taken!.details['suggestion']!));
    assert.equal(await reasonOf(desk.client.renameAgent({ agent: agent.id, name: 'x' })), 'NOT_THE_OWNER');
    assert.equal(await reasonOf(admin.renameAgent({ agent: agent.id, name: 'no good' })), 'INVALID_NAME');
    const sender = await world.asUser(one, ['send']);
    assert.equal(await reasonOf(sender.renameAgent({ agent: agent.id, name: 'x' })), 'SCOPE_MISSING');
    const stranger = await world.asUser(one, ['admin'], world.orgs[1]);
    assert.equal(await reasonOf(stranger.renameAgent({ agent: agent.id, name: 'x' })), 'UNKNOWN_AGENT');
    assert.equal((await told('agent_renamed', agent.id)).details['before'], 'before');
  });

  it('of many that are renamed to one name, one gets it', async () => {
    const agents = await Promise.all(
      Array.from({ length: 30 }, (_, i) => register(i % 2 ? laptop : desk, `candidate-${i}`)),
    );
    const outcomes = await Promise.all(
      agents.map((agent, i) =>
        reasonOf((i % 2 ? laptop : desk).client.renameAgent({ agent: agent.id, name: 'Chosen' })),
      ),
    );
    assert.equal(outcomes.filter((reason) => reason === 'none').length, 1);
    assert.equal(outcomes.filter((reason) => reason === 'NAME_TAKEN').length, 29);
    const { agent } = await admin.lookupAgent({ name: 'chosen' });
    assert.equal(agent!.id, agents[outcomes.indexOf('none')]!.id);
  });

  it('an admin removes by name; mail of an agent whose node is away goes back', async () => {
    const away = await world.node(one, 'away');
    const agent = await register(away, 'removed-away');
    await goodbye(away);
    const status = async () => (await admin.lookupAgent({ name: 'removed-away' })).agent!.status;
    await eventually(async () => (await status()) === 'offline');
    await admin.deregisterAgent({ agent: 'Removed-Away' });
    assert.equal(await world.route(agent.id), undefined);
    const moves = await world.sql<{ reason: string }>('select reason from moves where agent = $1', [
      agent.id,
    ]);
    assert.deepEqual(moves, [{ reason: 'agent_removed' }]);
    const here = await register(laptop, 'removed-here');
    await beat(world, laptop);
    await laptop.client.deregisterAgent({ agent: here.id });
    assert.deepEqual(await world.sql('select 1 from moves where agent = $1', [here.id]), []);
    assert.equal(await reasonOf(laptop.client.deregisterAgent({ agent: 'nobody' })), 'UNKNOWN_AGENT');
    assert.equal((await told('agent_removed', agent.id)).details['reason'], 'removed');
  });

  it('a name that is assigned to a workspace is neither shed nor taken by renaming', async () => {
    const org = world.freshOrg();
    const place = { workspace: 'w_1', repo: '', user: 'u_1', suspended: false };
    await world.publish({ org, version: 1, assignments: [{ ...place, agent: 'watched' }] });
    const node = await world.node(one, 'office', org);
    const watched = await register(node, 'Watched');
    const free = await register(node, 'free-one');
    const person = await world.asUser(two, ['admin'], org);
    const taking = () => reasonOf(person.renameAgent({ agent: 'free-one', name: 'watched' }));
    await eventually(async () => (await taking()) === 'AGENT_ASSIGNED');
    const shed = await errorOf(node.client.renameAgent({ agent: watched.id, name: 'unwatched' }));
    assert.equal(shed?.reason, 'AGENT_ASSIGNED');
    assert.match(shed?.help ?? '', /workspace unassign Watched/);
    assert.equal(
      await reasonOf(node.client.renameAgent({ agent: free.id, name: 'WATCHED' })),
      'AGENT_ASSIGNED',
    );
    assert.equal(
      (await node.client.renameAgent({ agent: watched.id, name: 'WATCHED' })).agent!.name,
      'WATCHED',
    );
    assert.equal((await node.client.renameAgent({ agent: free.id, name: 'freer' })).agent!.name, 'freer');
    await world.publish({ org, version: 2, assignments: [] });
    const freed = () => reasonOf(node.client.renameAgent({ agent: watched.id, name: 'unwatched' }));
    await eventually(async () => (await freed()) === 'none');
  });

  it('agents of a suspended workspace say so, and work again when it does', async () => {
    const org = world.freshOrg();
    const assigned = (suspended: boolean) => [
      { agent: 'worker', workspace: 'w_1', repo: '', user: 'u_1', suspended },
    ];
    await world.publish({ org, version: 1, assignments: assigned(false) });
    const node = await world.node(one, 'works', org);
    const worker = await register(node, 'Worker');
    const free = await register(node, 'free');
    const reader = await world.asUser(two, ['read', 'admin'], org);
    const status = async (name: string) => (await reader.lookupAgent({ name })).agent!.status;
    await world.publish({ org, version: 2, assignments: assigned(true) });
    await eventually(async () => (await status('worker')) === 'suspended');
    await eventually(async () => (await world.route(worker.id, org))?.suspended === true);
    assert.notEqual(await status('free'), 'suspended');
    assert.equal((await world.route(free.id, org))?.suspended, false);
    assert.equal(
      await reasonOf(reader.renameAgent({ agent: 'worker', name: 'escaped' })),
      'WORKSPACE_SUSPENDED',
    );
    const { outcomes } = await node.client.syncRoster({
      agents: [worker, free].map(({ id, name }) => ({ id, name, adapter: 'stream', profile: undefined })),
    });
    assert.deepEqual(
      outcomes.map(({ agent }) => agent?.status === 'suspended'),
      [true, false],
    );
    await world.publish({ org, version: 3, assignments: [] });
    await eventually(async () => (await status('worker')) !== 'suspended');
    await eventually(async () => (await world.route(worker.id, org))?.suspended === false);
  });

  it('a name stays with a silent node for a while, then it is free and its mail goes back', async () => {
    const silent = await world.node(two, 'silent');
    const agent = await register(silent, 'sleeper');
    await goodbye(silent);
    const refused = await eventually(async () => {
      const error = await errorOf(laptop.client.registerAgent({ name: 'sleeper', adapter: 'stream' }));
      return error?.details['reserved_until_ms'] === undefined ? undefined : error;
    });
    assert.equal(refused.reason, 'NAME_TAKEN');
    await Promise.all([one.stop(), two.stop()]);
    const hasty = await world.start({ stale_ms: 500, liveness_ms: 100 });
    await eventually(async () => (await world.route(agent.id)) === undefined);
    await hasty.stop();
    one = await world.start();
    const [taker, back] = [laptop, silent].map(({ welcome }) => world.client(one, welcome.nodeToken));
    const next = (await taker!.registerAgent({ name: 'sleeper', adapter: 'stream' })).agent!;
    assert.notEqual(next.id, agent.id);
    const moves = await world.sql<{ reason: string; from_node: string }>(
      'select reason, from_node from moves where agent = $1',
      [agent.id],
    );
    assert.deepEqual(moves, [{ reason: 'agent_swept', from_node: silent.id }]);
    assert.equal((await told('agent_removed', agent.id)).details['reason'], 'swept');
    const [row] = await world.sql<{ agents: number }>('select agents from nodes where id = $1', [silent.id]);
    assert.equal(row!.agents, 0);
    const { outcomes } = await back!.syncRoster({
      agents: [{ id: agent.id, name: 'sleeper', adapter: 'stream', profile: undefined }],
    });
    assert.equal(outcomes[0]!.reason, 'NAME_TAKEN');
  });
});
