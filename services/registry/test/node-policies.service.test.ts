/**
 * Goal: a node learns the policies of its own org, and only them, when they are newer than what it has; what it denied
 * reaches the org as events, bounded; it hears at once of channels that its agents join.
 * Method: two replicas on real servers, states of orgs written as org writes them, heartbeats over nodes' own connections.
 */

import assert from 'node:assert/strict';
import type { Broker } from '@fleetwire/broker';
import { filters } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import type { Event } from '@fleetwire/gen/event';
import { type Denial, PeerFrame } from '@fleetwire/gen/message';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import {
  beatAs,
  type RegistryWorld,
  reasonOf,
  registered,
  startRegistryWorld,
  type TestNode,
} from './fixture.ts';

describe('policies for nodes', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let node: TestNode;
  let stranger: TestNode;
  let broker: Broker;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
    node = await world.node(one, 'asking');
    stranger = await world.node(two, 'stranger', world.orgs[1]);
    broker = await world.nodeBroker(node);
  });
  after(() => world?.[Symbol.asyncDispose]());

  const RULES = [{ agents: '*', canMessage: { patterns: ['bob'] }, rateLimitPerMinute: 60 }];
  const stateOf = (version: number) => {
    const secret = { description: 'why', createdBy: 'u_boss', createdAtMs: 5, updatedAtMs: 6 };
    const policies = [{ id: 'pol_1', level: 'org', name: 'Talk', rules: RULES, version: 2, ...secret }];
    const revocations = [{ kind: 'key', subject: 'k_gone', issuedUntilMs: 1 }];
    const assignments = [{ agent: 'bob', workspace: 'w_1', user: 'u_1' }];
    const departed = [{ user: 'u_gone', atMs: 1 }];
    const org = world.orgs[0];
    const told = {
      org,
      version,
      status: 'active',
      plan: 'team',
      slug: 'acme',
      policies,
      revocations,
      assignments,
      departed,
    };
    return OrgState.fromPartial({ ...told, limits: { workspaces: -1, members: -1, nodes: 3, agents: 4 } });
  };
  const heartbeat = (said = {}) => beatAs(broker, node, world.orgs[0], { instance: '', ...said });

  it('are told to a node of the org when they are newer than what it has, without what it need not know', async () => {
    assert.equal((await heartbeat()).accessVersion, 0);
    assert.equal((await node.client.nodePolicies({ version: 0 })).state, undefined);
    await world.publish(stateOf(5));
    for (const service of [one, two]) {
      const client = world.client(service, node.welcome.nodeToken);
      await eventually(async () => (await client.nodePolicies({ version: 0 })).state !== undefined);
      const { state } = await client.nodePolicies({ version: 4 });
      assert.deepEqual([state?.version, state?.plan, state?.status], [5, 'team', 'active']);
      assert.deepEqual([state?.revocations, state?.departed, state?.limits?.agents], [[], [], 4]);
      const [policy] = state!.policies;
      assert.deepEqual(policy!.rules[0]!.canMessage?.patterns, ['bob']);
      assert.deepEqual([policy!.name, policy!.description, policy!.createdBy], ['Talk', '', '']);
      assert.equal(state!.assignments[0]?.agent, 'bob');
      assert.equal((await client.nodePolicies({ version: 5 })).state, undefined);
      assert.equal((await client.nodePolicies({ version: 99 })).state, undefined);
    }
    await eventually(async () => (await heartbeat()).accessVersion === 5);
    await world.publish(stateOf(6));
    await eventually(async () => (await heartbeat()).accessVersion === 6);
  });

  it('are not told to another org’s nodes, to people or to services', async () => {
    assert.equal((await stranger.client.nodePolicies({ version: 0 })).state, undefined);
    const admin = await world.asUser(one, ['admin']);
    assert.equal(await reasonOf(admin.nodePolicies({ version: 0 })), 'NOT_A_NODE');
    const router = await world.asService(one, 'router');
    assert.equal(await reasonOf(router.nodePolicies({ version: 0 })), 'NOT_A_NODE');
    const nobody = world.client(one);
    assert.equal(await reasonOf(nobody.nodePolicies({ version: 0 })), 'TOKEN_MISSING');
  });

  it('that denied something reach the org as events, once if told twice, bounded and made fit to be shown', async () => {
    const heard = (target: string): Promise<readonly Event[]> => world.events(target);
    await heard('');
    const denial = (seq: number, targetName: string, more: Partial<Denial> = {}): Denial => {
      const said = { actor: 'a_1', actorName: 'alice', reason: 'MESSAGE_DENIED', policy: 'pol_1', count: 3 };
      return { seq, targetName, explanation: 'Rule 1 says so.', ...said, ...more };
    };
    const denials = [denial(1, 'carol'), denial(2, 'dave\u0000\n', { actor: 'x'.repeat(500) })];
    await heartbeat({ denials });
    await heartbeat({ denials });
    await eventually(async () => (await heard('dave')).length > 0);
    const [event, ...again] = await heard('carol');
    assert.equal(again.filter(({ id }) => id !== event!.id).length, 0);
    assert.deepEqual(
      [event!.org, event!.service, event!.name, event!.actor],
      [world.orgs[0], 'registry', 'denied', 'a_1'],
    );
    assert.deepEqual(event!.details, {
      action: 'message',
      reason: 'MESSAGE_DENIED',
      policy: 'pol_1',
      explanation: 'Rule 1 says so.',
      actor_name: 'alice',
      target_name: 'carol',
      count: '3',
      node: node.id,
    });
    assert.equal((await heard('dave'))[0]!.actor.length, 64);
    const many = Array.from({ length: 100 }, (_, i) => denial(10 + i, 'flood'));
    for (let i = 0; i < 5; i++) await heartbeat({ denials: many });
    await heartbeat({ denials: [denial(1000, 'after')] });
    const ids = new Set((await heard('flood')).map(({ id }) => id));
    assert.ok(ids.size <= 20, `${ids.size}`);
  });

  it('tells a node at once when its agents join or leave a channel', async () => {
    const agent = await registered(node, 'joining');
    const whys: string[] = [];
    (await world.broker()).subscribe(filters.framesToNode(world.orgs[0], node.id), ({ data }) =>
      whys.push(PeerFrame.decode(data).nudge),
    );
    const { channel } = await node.client.createChannel({ name: 'news' });
    for (const change of ['joinChannel', 'leaveChannel'] as const) {
      whys.length = 0;
      await node.client[change]({ channel: channel!.id, agents: [agent.id] });
      await eventually(() => whys.includes('channel'));
    }
  });
});
