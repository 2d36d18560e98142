/**
 * Goal: a name has one holder whatever races, everybody else gets a clear answer, and the routing table follows. Method:
 * two replicas on real servers, many nodes at once, and a reader of the bucket.
 */

import assert from 'node:assert/strict';
import { ROUTES_BUCKET, routeKey } from '@fleetwire/contract';
import { Route } from '@fleetwire/gen/message';
import { foldName, isName } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  allPages,
  errorOf,
  type RegistryWorld,
  reasonOf,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';

describe('agents', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let laptop: TestNode;
  let desk: TestNode;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    [laptop, desk] = await Promise.all([world.node(one, 'laptop'), world.node(two, 'desk')]);
  });
  after(() => world?.[Symbol.asyncDispose]());
  const register = (node: TestNode, name: string) => node.client.registerAgent({ name, adapter: 'stream' });

  it('of 50 nodes that register one name at once: one wins, the others learn who and what is free', async () => {
    const nodes: TestNode[] = [];
    for (let i = 0; i < 50; i++) nodes.push(await world.node(i % 2 ? one : two, `racer-${i}`));
    const outcomes = await Promise.all(nodes.map((node) => errorOf(register(node, i50Name(node)))));
    const winners = nodes.filter((_, i) => outcomes[i] === undefined);
    assert.equal(winners.length, 1, outcomes.map((o) => o?.reason).join());
    const suggested = new Set<string>();
    for (const [i, refused] of outcomes.entries()) {
      if (refused === undefined) continue;
      assert.deepEqual([refused.kind, refused.reason], ['already_exists', 'NAME_TAKEN']);
      assert.equal(refused.details['held_by_node'], winners[0]!.id);
      assert.equal(refused.details['held_by_node_name'], winners[0]!.name);
      const { suggestion } = refused.details;
      assert.ok(suggestion && isName(suggestion) && refused.help?.includes(suggestion));
      assert.equal(foldName(suggestion), `alice-${nodes[i]!.name}`);
      suggested.add(suggestion);
    }
    assert.equal(suggested.size, 49);
    const refusedNode = nodes.find((node) => node !== winners[0])!;
    assert.equal(await reasonOf(register(refusedNode, `alice-${refusedNode.name}`)), 'none');
  });
  const i50Name = (node: TestNode) => (Number(node.name.slice(6)) % 3 ? 'alice' : 'Alice');

  it('suggest names that stay free, valid and short, however often they are taken', async () => {
    const long = 'x'.repeat(50);
    await register(laptop, long);
    await register(laptop, 'y');
    for (let i = 0; i < 5; i++) {
      for (const name of [long, 'y']) {
        const refused = await errorOf(register(desk, name));
        const suggestion = refused?.details['suggestion'];
        assert.ok(suggestion && isName(suggestion), suggestion);
        await register(laptop, suggestion);
      }
    }
  });

  it('registered again by their node keep id, epoch and route, unless something is new', async () => {
    const { agent } = await register(laptop, 'bob');
    const same = await laptop.client.registerAgent({ name: 'BOB', adapter: 'stream' });
    assert.deepEqual(same.agent, { ...agent, lastSeenAtMs: same.agent!.lastSeenAtMs });
    const again = await laptop.client.registerAgent({ name: 'BOB', adapter: 'mailbox' });
    assert.deepEqual(
      [again.agent!.id, again.agent!.name, again.agent!.adapter],
      [agent!.id, 'bob', 'mailbox'],
    );
    assert.ok(again.agent!.epoch > agent!.epoch);
    assert.deepEqual(await world.route(agent!.id), {
      agent: agent!.id,
      name: 'bob',
      node: laptop.id,
      nodeName: 'laptop',
      epoch: again.agent!.epoch,
      shard: 0,
      capabilities: [],
      visibility: 0,
      group: '',
      suspended: false,
      movingFrom: '',
      project: '',
    });
  });

  it('have a route when the answer arrives, and none after they are removed', async () => {
    const { agent } = await register(laptop, 'carol');
    assert.equal((await world.route(agent!.id))?.node, laptop.id);
    assert.equal(await reasonOf(desk.client.deregisterAgent({ agent: agent!.id })), 'NOT_THE_OWNER');
    assert.equal((await world.route(agent!.id))?.node, laptop.id);
    await laptop.client.deregisterAgent({ agent: agent!.id });
    assert.equal(await world.route(agent!.id), undefined);
    await laptop.client.deregisterAgent({ agent: agent!.id });
    const next = await register(desk, 'carol');
    assert.notEqual(next.agent!.id, agent!.id);
    assert.ok(next.agent!.epoch > agent!.epoch);
  });

  it('are found by name in any case and by id, in their org only, by those who may', async () => {
    const { agent } = await register(laptop, 'dave');
    const reader = await world.asUser(two, ['send']);
    for (const name of ['dave', 'DAVE', agent!.id])
      assert.equal((await reader.lookupAgent({ name })).agent!.id, agent!.id);
    assert.equal((await desk.client.lookupAgent({ name: 'dave' })).agent!.nodeName, 'laptop');
    const [, other] = world.orgs;
    const stranger = await world.asUser(one, ['admin'], other);
    for (const name of ['dave', agent!.id])
      assert.equal(await reasonOf(stranger.lookupAgent({ name })), 'UNKNOWN_AGENT');
    assert.equal(await reasonOf(stranger.lookupAgent({ name: 'dave', org: world.orgs[0] })), 'ORG_NOT_YOURS');
    const router = await world.asService(one, 'router');
    assert.equal((await router.lookupAgent({ name: 'dave', org: world.orgs[0] })).agent!.id, agent!.id);
    assert.equal(await reasonOf(router.lookupAgent({ name: 'dave' })), 'ORG_MISSING');
    const joiner = await world.asUser(one, ['node-join']);
    assert.equal(await reasonOf(joiner.lookupAgent({ name: 'dave' })), 'SCOPE_MISSING');
    assert.equal(await reasonOf(reader.registerAgent({ name: 'eve', adapter: 'stream' })), 'NOT_A_NODE');
  });

  it('that are unknown are refused with the nearest names', async () => {
    await register(laptop, 'frederick');
    const refused = await errorOf(desk.client.lookupAgent({ name: 'fredrick' }));
    assert.deepEqual([refused?.kind, refused?.reason], ['not_found', 'UNKNOWN_AGENT']);
    assert.match(refused!.help!, /frederick/);
    assert.equal(await reasonOf(desk.client.lookupAgent({ name: 'no such@thing' })), 'UNKNOWN_AGENT');
    assert.equal(await reasonOf(register(laptop, 'no such')), 'INVALID_NAME');
    const odd = laptop.client.registerAgent({ name: 'odd', adapter: 'pigeon' });
    assert.equal(await reasonOf(odd), 'UNKNOWN_ADAPTER');
  });

  it('of one node are bounded', async () => {
    const small = await world.start({ agents_per_node_max: 1 });
    const node = await world.node(small, 'small');
    await register(node, 'only');
    assert.equal(await reasonOf(register(node, 'second')), 'AGENT_LIMIT');
    assert.equal(await reasonOf(register(node, 'only')), 'none');
    await small.stop();
  });

  it('are listed in pages that are complete', async () => {
    const reader = await world.asUser(one, ['read']);
    const all = (await reader.listAgents({ pageSize: 1000 })).agents.map((agent) => agent.name);
    const paged = await allPages(
      (pageToken) => reader.listAgents({ pageSize: 3, pageToken }),
      (page) => page.agents.map((agent) => agent.name),
    );
    assert.deepEqual(paged, all);
  });

  it('that are in one place only, table or database, are set right by the replica that holds the lease', async () => {
    const { agent } = await register(laptop, 'grace');
    const key = routeKey(world.orgs[0], agent!.id);
    const stray = routeKey(world.orgs[0], 'a_0000000000000000');
    const bucket = await (await world.broker()).bucket(ROUTES_BUCKET);
    await bucket.delete(key);
    await bucket.put(stray, Route.encode(Route.fromPartial({ agent: 'x' })).finish());
    await Promise.all([one.stop(), two.stop()]);
    [one, two] = await Promise.all([world.start(), world.start()]);
    await eventually(async () => (await bucket.get(key)) !== undefined, { timeoutMs: 30_000 });
    await eventually(async () => (await bucket.get(stray)) === undefined);
    const reader = await world.asUser(one, ['read']);
    assert.equal((await reader.lookupAgent({ name: 'grace' })).agent!.id, agent!.id);
  });
});
