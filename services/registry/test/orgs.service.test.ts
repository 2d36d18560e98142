/**
 * Goal: the registry follows the state of orgs: closed ones are refused, plans bound them exactly, deleted ones leave
 * nothing behind. Method: two replicas on real servers, the states written as org writes them, joins and registrations
 * at once, and an org that does not answer at first.
 */

import assert from 'node:assert/strict';
import { EVENT_NAMES, filters, nodeConsumer, ROUTES_BUCKET, routeKey } from '@fleetwire/contract';
import type { OrgState } from '@fleetwire/gen/access';
import { Event } from '@fleetwire/gen/event';
import { createNodeKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  beat,
  errorOf,
  greet,
  type RegistryWorld,
  reasonOf,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';

const limits = (o: { nodes?: number; agents?: number }) => ({
  workspaces: -1,
  members: -1,
  nodes: -1,
  agents: -1,
  ...o,
});

const REFUSED = ['TOKEN_REVOKED', 'ORG_CLOSED'];

describe('the registry and the state of orgs', function () {
  this.timeout(60_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let version = 0;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
  });
  after(() => world?.[Symbol.asyncDispose]());

  /** Resolves when both replicas go by it, which shows by a revocation that is in it. */
  async function publish(org: string, state: Partial<OrgState>): Promise<void> {
    const key = `k_${++version}`;
    const probe = { kind: 'key', subject: key, issuedUntilMs: Number.MAX_SAFE_INTEGER };
    const revocations = [...(state.revocations ?? []), probe];
    await world.publish({ ...state, org, version, revocations });
    // While it is closed, that comes before all else.
    const shown = state.status === undefined || state.status === 'active' ? ['TOKEN_REVOKED'] : REFUSED;
    for (const service of [one, two]) {
      const user = await world.asUser(service, ['read'], org, key);
      await eventually(async () => shown.includes(await reasonOf(user.listNodes({}))));
    }
  }
  const join = (
    service: RunningService,
    org: string,
    nodeName: string,
    publicKey = createNodeKey().publicKey,
  ) => errorOf(world.client(service).join({ joinToken: org, nodeName, publicKey }));
  const register = (node: TestNode, name: string) =>
    errorOf(node.client.registerAgent({ name, adapter: 'stream' }));

  describe('that is closed', () => {
    it('refuses its nodes at every door, at once and until it is open again', async () => {
      const org = world.freshOrg();
      const node = await world.node(one, 'laptop', org);
      assert.equal((await beat(world, node)).orgStatus, '');
      await publish(org, { status: 'deleted', deletion: 1 });
      for (const service of [one, two]) {
        assert.equal((await join(service, org, 'late'))?.reason, 'ORG_CLOSED');
        const client = world.client(service, node.welcome.nodeToken);
        const greeted = await errorOf(greet(client, node.id, node.seed));
        assert.deepEqual([greeted?.kind, greeted?.reason], ['failed_precondition', 'ORG_CLOSED']);
        assert.equal(await reasonOf(client.openInbox({})), 'ORG_CLOSED');
        assert.equal(await reasonOf(client.registerAgent({ name: 'x', adapter: 'stream' })), 'ORG_CLOSED');
      }
      const { known, orgStatus } = await beat(world, node);
      assert.deepEqual([known, orgStatus], [false, 'deleted']);
      await publish(org, { deletion: 1 });
      assert.equal((await beat(world, node)).known, true);
      await greet(world.client(two), node.id, node.seed);
      assert.equal(await reasonOf(node.client.openInbox({})), 'none');
    });
  });

  it('tells nodes with their heartbeats which tokens are revoked', async () => {
    const [, org] = world.orgs;
    const node = await world.node(one, 'listener', org);
    const revocations = [{ kind: 'key', subject: 'k_1', issuedUntilMs: 5 }];
    await publish(org, { revocations });
    const told = await beat(world, node);
    assert.equal(told.orgStatus, 'active');
    assert.deepEqual(told.revocations.slice(0, 1), revocations);
  });

  it('accepts no new agent of a suspended workspace, and keeps those there are', async () => {
    const [org] = world.orgs;
    const node = await world.node(one, 'worker');
    const assigned = { agent: 'sleeper', workspace: 'w_1', repo: '', user: 'u_1', suspended: true };
    await publish(org, { assignments: [assigned] });
    assert.equal((await register(node, 'Sleeper'))?.reason, 'WORKSPACE_SUSPENDED');
    assert.equal(await register(node, 'other'), undefined);
    await publish(org, { assignments: [{ ...assigned, suspended: false }] });
    assert.equal(await register(node, 'sleeper'), undefined);
    await publish(org, { assignments: [assigned] });
    assert.equal(await register(node, 'sleeper'), undefined);
    const stranger = await world.node(one, 'no-worker');
    assert.equal((await register(stranger, 'sleeper'))?.reason, 'NAME_TAKEN');
    const status = async () => (await node.client.lookupAgent({ name: 'sleeper' })).agent!.status;
    await eventually(async () => (await status()) === 'suspended');
    const { agent } = await node.client.registerAgent({ name: 'sleeper', adapter: 'stream' });
    assert.equal(agent!.status, 'suspended');
    await publish(org, { assignments: [] });
  });

  describe('whose plan has limits', () => {
    let org: string;
    before(() => {
      org = world.freshOrg();
    });

    it('has exactly so many nodes, whoever joins at the same moment', async () => {
      await publish(org, { plan: 'free', limits: limits({ nodes: 3 }) });
      const first = { publicKey: createNodeKey().publicKey, nodeName: 'n-first', joinToken: org };
      await world.client(one).join(first);
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, (_, i) => join(i % 2 ? one : two, org, `n-${i}`)),
      );
      assert.equal(outcomes.filter((o) => o === undefined).length, 2);
      for (const refused of outcomes.filter((o) => o !== undefined)) {
        assert.deepEqual([refused.kind, refused.reason], ['resource_exhausted', 'PLAN_LIMIT']);
        assert.deepEqual(
          [refused.details['limit'], refused.details['value'], refused.details['lifted_by']],
          ['nodes', '3', 'pro'],
        );
      }
      await world.client(two).join(first);
      await publish(org, { plan: 'pro', limits: limits({ nodes: 4 }) });
      assert.equal(await join(one, org, 'n-last'), undefined);
      assert.equal((await join(two, org, 'n-more'))?.reason, 'PLAN_LIMIT');
    });

    it('has exactly so many agents, whichever nodes and replicas they come by', async () => {
      await publish(org, { plan: 'enterprise', limits: limits({}) });
      const nodes = [await world.node(one, 'left', org), await world.node(two, 'right', org)];
      await publish(org, { plan: 'free', limits: limits({ agents: 7 }) });
      const names = Array.from({ length: 40 }, (_, i) => `agent-${i}`);
      const outcomes = await Promise.all(names.map((name, i) => register(nodes[i % 2]!, name)));
      const placed = names.filter((_, i) => outcomes[i] === undefined);
      assert.equal(placed.length, 7, outcomes.map((o) => o?.reason).join());
      const refused = outcomes.find((o) => o !== undefined);
      assert.deepEqual([refused?.reason, refused?.details['limit']], ['PLAN_LIMIT', 'agents']);
      const reader = await world.asUser(one, ['read'], org);
      const { agents } = await reader.listAgents({});
      assert.deepEqual(
        agents.map((agent) => agent.name),
        placed.toSorted((a, b) => (a < b ? -1 : 1)),
      );
      // A full org still takes back what it has, and one more for each that goes.
      const [held] = agents;
      const holder = nodes.find((node) => node.id === held!.node)!;
      assert.equal(await register(holder, held!.name), undefined);
      await holder.client.deregisterAgent({ agent: held!.id });
      assert.equal(await register(nodes[0]!, 'newcomer'), undefined);
      assert.equal((await register(nodes[1]!, 'beyond'))?.reason, 'PLAN_LIMIT');
    });
  });

  describe('that is deleted', () => {
    it('leaves nothing here but in other orgs, and org hears of it though it is away at first', async () => {
      const [org, other] = [world.freshOrg(), world.freshOrg()];
      const [node, second] = [await world.node(one, 'a', org), await world.node(two, 'b', org)];
      const neighbour = await world.node(one, 'a', other);
      for (const each of [node, second, neighbour]) await each.client.openInbox({});
      for (const name of ['x', 'y', 'z']) assert.equal(await register(node, name), undefined);
      assert.equal(await register(second, 'v'), undefined);
      assert.equal(await register(neighbour, 'x'), undefined);
      const [online, elsewhere] = [await world.nodeBroker(node), await world.nodeBroker(neighbour)];
      let drops = 0;
      elsewhere.onDisconnect(() => drops++);
      const dropped = new Promise<void>((resolve) => online.onDisconnect(() => resolve()));
      const broker = await world.broker();
      const bucket = await broker.bucket(ROUTES_BUCKET);
      // Four agents, two nodes.
      assert.equal((await bucket.keys(routeKey(org, '*'))).length, 6);
      let refusals = 2;
      world.org.confirming = () => {
        if (refusals-- > 0) throw new FleetwireError('unavailable', 'AWAY', 'not now');
      };
      await publish(org, { status: 'deleting', clearing: true, deletion: 3 });
      await eventually(() => world.org.confirmed.includes(`${org} 3`));
      assert.ok(refusals <= 0);
      assert.deepEqual(await bucket.keys(routeKey(org, '*')), []);
      assert.equal((await bucket.keys(routeKey(other, '*'))).length, 2);
      assert.deepEqual(await world.rows(org), { nodes: 0, agents: 0 });
      assert.deepEqual(await world.rows(other), { nodes: 1, agents: 1 });
      const inbox = (id: string, of: string) =>
        broker.consumers.info('INBOX', nodeConsumer(0, of, id).durable_name);
      assert.deepEqual([await inbox(node.id, org), await inbox(second.id, org)], [undefined, undefined]);
      assert.notEqual(await inbox(neighbour.id, other), undefined);
      await dropped;
      assert.equal(online.connected(), false);
      await assert.rejects(world.nodeBroker(node, undefined, 0), { reason: 'NATS_REFUSED' });
      assert.ok(drops === 0 && elsewhere.connected());
      assert.equal((await beat(world, neighbour)).known, true);
      assert.equal(await reasonOf(greet(world.client(two), node.id, node.seed)), 'NODE_UNKNOWN');
      await publish(org, { deletion: 3 });
      const anew = await world.node(one, 'a', org);
      // As a node does: whoever is refused says HELLO again.
      await eventually(async () => {
        const { userJwt } = await greet(world.client(two), anew.id, anew.seed);
        return (await reasonOf(world.nodeBroker(anew, userJwt, 0))) === 'none';
      });
      assert.equal(await reasonOf(greet(world.client(one), node.id, node.seed)), 'NODE_UNKNOWN');
    });

    it('is confirmed until its deletion goes on, since org may not have come to that step', async () => {
      const org = world.freshOrg();
      const times = () => world.org.confirmed.filter((each) => each === `${org} 1`).length;
      await publish(org, { status: 'deleting', clearing: true, deletion: 1 });
      // More often than there are replicas.
      await eventually(() => times() > 3);
      await publish(org, { status: 'deleted', deletion: 1 });
      await eventually(() => [one, two].every((each) => each.health()['orgs_to_clear'] === 0));
    });

    it('is cleared by a registry that starts only later', async () => {
      const org = world.freshOrg();
      const node = await world.node(one, 'a', org);
      await register(node, 'x');
      await Promise.all([one.stop(), two.stop()]);
      await world.publish({ org, version: ++version, status: 'deleting', clearing: true, deletion: 1 });
      assert.deepEqual(await world.rows(org), { nodes: 1, agents: 1 });
      [one, two] = await Promise.all([world.start(), world.start()]);
      await eventually(() => world.org.confirmed.includes(`${org} 1`));
      assert.deepEqual(await world.rows(org), { nodes: 0, agents: 0 });
      await publish(org, { status: 'deleted', deletion: 1 });
    });
  });

  it('tells what each org has, when that changes', async () => {
    const heard: Event[] = [];
    const broker = await world.broker();
    broker.subscribe(filters.eventsNamed(EVENT_NAMES.usage), (m) => heard.push(Event.decode(m.data)));
    await Promise.all([one.stop(), two.stop()]);
    const often = { usage_interval_ms: 100 };
    [one, two] = await Promise.all([world.start(often), world.start(often)]);
    const org = world.freshOrg();
    const node = await world.node(one, 'counted', org);
    // What nobody acknowledged in time is told again, under the same id.
    const told = () => {
      const own = heard.filter((event) => event.org === org);
      return [...new Map(own.map((event) => [event.id, event.usage!])).values()];
    };
    const day = () => new Date().toISOString().slice(0, 10);
    const days = [day()];
    await eventually(() => told().length === 1);
    await register(node, 'x');
    await eventually(() => told().length === 2);
    await register(node, 'y');
    await eventually(() => told().length === 3);
    days.push(day());
    assert.ok(told().every((usage) => days.includes(usage.day)));
    assert.deepEqual(
      told(),
      [0, 1, 2].map((agents, i) => ({ day: told()[i]!.day, messages: 0, bytes: 0, agents, nodes: 1 })),
    );
    assert.equal(heard.at(-1)!.service, 'registry');
  });
});
