/**
 * Goal: a node tells all its agents at once and learns what became of each; no list, however it lies, touches the agent of
 * another node or org. Method: two replicas, nodes of two orgs, and a look at PostgreSQL through the lists.
 */

import assert from 'node:assert/strict';
import { AgentProfile, type RosterAgent } from '@fleetwire/gen/registry';
import { rosterDigest } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { after, before, describe, it } from 'mocha';
import { errorOf, type RegistryWorld, reasonOf, startRegistryWorld, type TestNode } from './fixture.ts';

const item = (name: string, o: Partial<RosterAgent> = {}): RosterAgent => ({
  id: '',
  name,
  adapter: 'stream',
  profile: undefined,
  ...o,
});
const profile = (o: Partial<AgentProfile>) => AgentProfile.fromPartial(o);

describe('rosters', function () {
  this.timeout(90_000);
  let world: RegistryWorld;
  let one: RunningService;
  let two: RunningService;
  let nodes = 0;
  before(async () => {
    world = await startRegistryWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
  });
  after(() => world?.[Symbol.asyncDispose]());
  const fresh = (org?: string): Promise<TestNode> =>
    world.node(nodes % 2 ? one : two, `node-${nodes++}`, org);
  const told = async (node: TestNode, agents: RosterAgent[]) => node.client.syncRoster({ agents });
  const idsOf = async (node: TestNode) =>
    (await world.sql<{ id: string }>('select id from agents where node = $1', [node.id])).map(({ id }) => id);

  it('bring and take away so many agents in time and no more; what is there costs nothing', async () => {
    const replica = await world.start({ churn_burst: 500, churn_every_ms: 600_000 });
    const node = await world.node(replica, 'restless');
    const list = Array.from({ length: 400 }, (_, i) => item(`restless-${i}`));
    assert.equal((await told(node, list)).outcomes.filter(({ agent }) => agent).length, 400);
    const refused = await errorOf(told(node, []));
    assert.deepEqual([refused?.kind, refused?.reason], ['resource_exhausted', 'TOO_MUCH_CHURN']);
    assert.ok(refused!.retryAfterMs! > 0);
    assert.equal((await idsOf(node)).length, 400);
    const kept = await told(node, list);
    assert.ok(kept.outcomes.every(({ agent }) => agent !== undefined));
    const { client } = node;
    const [first, second] = kept.outcomes.map(({ agent }) => agent!.id) as [string, string];
    await client.renameAgent({ agent: first, name: 'restful' });
    await client.deregisterAgent({ agent: second });
    for (let i = 0; i < 98; i++) await client.registerAgent({ name: `more-${i}`, adapter: 'stream' });
    const refusals = await Promise.all([
      reasonOf(client.renameAgent({ agent: first, name: 'restless' })),
      reasonOf(client.deregisterAgent({ agent: first })),
      reasonOf(client.registerAgent({ name: 'one-more', adapter: 'stream' })),
      reasonOf(told(node, [item('restful', { id: first }), item('one-more')])),
    ]);
    assert.deepEqual(new Set(refusals), new Set(['TOO_MUCH_CHURN']));
    const admin = await world.asUser(replica, ['admin']);
    await admin.deregisterAgent({ agent: first });
    await client.registerAgent({ name: 'restless-2', adapter: 'stream' });
    const other = await world.node(replica, 'calm');
    await other.client.registerAgent({ name: 'calm', adapter: 'stream' });
    await replica.stop();
  });

  it('of one node are taken one at a time', async () => {
    const node = await fresh();
    const list = Array.from({ length: 3000 }, (_, i) => item(`once-${i}`));
    const reasons = await Promise.all([1, 2, 3].map(() => reasonOf(told(node, list))));
    assert.deepEqual(reasons.toSorted(), ['ROSTER_UNDER_WAY', 'ROSTER_UNDER_WAY', 'none']);
    assert.equal((await idsOf(node)).length, 3000);
  });

  it('register what is new, keep what is known, take away what is gone, and have routes', async () => {
    const node = await fresh();
    const names = Array.from({ length: 1200 }, (_, i) => `many-${i}`);
    const first = await told(
      node,
      names.map((name) => item(name)),
    );
    assert.ok(
      first.outcomes.every(({ reason }, i) => reason === '' && first.outcomes[i]!.agent!.name === names[i]),
    );
    const ids = first.outcomes.map(({ agent }) => agent!.id);
    assert.equal(first.rosterDigest, rosterDigest(ids));
    assert.equal(first.rosterDigest, rosterDigest(await idsOf(node)));
    const kept = first.outcomes.slice(0, 600).map(({ agent }) => item(agent!.name, { id: agent!.id }));
    const again = await told(node, [...kept, item('newcomer')]);
    assert.deepEqual(
      again.outcomes.slice(0, 600).map(({ agent }) => [agent!.id, agent!.epoch]),
      first.outcomes.slice(0, 600).map(({ agent }) => [agent!.id, agent!.epoch]),
    );
    const present = await idsOf(node);
    assert.equal(present.length, 601);
    assert.equal(again.rosterDigest, rosterDigest(present));
    for (const [i, id] of ids.entries())
      if (i % 97 === 0) assert.equal((await world.route(id)) !== undefined, i < 600, `route of ${i}`);
    const [row] = await world.sql<{ agents: number }>('select agents from nodes where id = $1', [node.id]);
    assert.equal(row!.agents, 601);
  });

  it('keep the name that the registry has, and store what agents say of themselves', async () => {
    const node = await fresh();
    const said = profile({ model: 'm-1', capabilities: ['Review', 'test.unit'], tools: { tools: ['git'] } });
    const [made] = (await told(node, [item('first', { profile: said })])).outcomes;
    const [back] = (await told(node, [item('other-name', { id: made!.agent!.id })])).outcomes;
    assert.equal(back!.agent!.name, 'first');
    assert.deepEqual(back!.agent!.profile, made!.agent!.profile);
    assert.deepEqual(back!.agent!.profile!.capabilities, ['review', 'test.unit']);
    const changed = profile({
      visibility: 'group',
      group: 'Reviewers',
      location: { kind: 'process', details: { pid: '7' } },
    });
    const [now] = (await told(node, [item('first', { id: made!.agent!.id, profile: changed })])).outcomes;
    assert.ok(now!.agent!.epoch > made!.agent!.epoch);
    assert.deepEqual(now!.agent!.profile!.location, { kind: 'process', details: { pid: '7' } });
    const same = await node.client.registerAgent({ name: 'first', adapter: 'stream', profile: changed });
    assert.equal(same.agent!.epoch, now!.agent!.epoch);
    const route = await world.route(now!.agent!.id);
    assert.deepEqual([route?.visibility, route?.group, route?.epoch], [2, 'Reviewers', now!.agent!.epoch]);
  });

  it('that name one agent by its id and again by its name are answered for it once, also in another batch', async () => {
    const node = await fresh();
    const [made, other] = (await told(node, [item('once'), item('second')])).outcomes;
    const more = Array.from({ length: 600 }, (_, i) => item(`filler-${i}`));
    const list = [item('changed', { id: made!.agent!.id }), item('once'), item('second'), ...more];
    const again = await told(node, [...list, item('renamed', { id: other!.agent!.id })]);
    const reasons = again.outcomes.map(({ reason }) => reason);
    assert.deepEqual([...reasons.slice(0, 3), reasons.at(-1)], ['', 'LISTED_TWICE', '', 'LISTED_TWICE']);
    assert.equal(again.outcomes[0]!.agent!.id, made!.agent!.id);
    assert.equal((await idsOf(node)).length, 602);
  });

  it('that lie get nothing of another node, nor of another org', async () => {
    const [victim, liar, stranger] = [await fresh(), await fresh(), await fresh(world.orgs[1])];
    const owned = (await told(victim, [item('mine'), item('also-mine')])).outcomes.map(({ agent }) => agent!);
    const before = await world.sql('select * from agents where node = $1 order by id', [victim.id]);
    const lies = [
      item('mine', { id: owned[0]!.id }),
      item('Also-Mine'),
      item('good'),
      item('good'),
      item('no name'),
      item('x', { adapter: 'pigeon' }),
      item('y', { profile: profile({ capabilities: ['no way'] }) }),
      item('made-up', { id: newId('agent') }),
      item('odd-id', { id: '../../x' }),
    ];
    const { outcomes } = await told(liar, lies);
    assert.deepEqual(
      outcomes.map(({ reason }) => reason),
      [
        'AGENT_MOVED',
        'NAME_TAKEN',
        '',
        'LISTED_TWICE',
        'INVALID_NAME',
        'UNKNOWN_ADAPTER',
        'INVALID_PROFILE',
        '',
        '',
      ],
    );
    assert.equal(outcomes[1]!.suggestion, `Also-Mine-${liar.name}`);
    assert.notEqual(outcomes[7]!.agent!.id, lies[7]!.id);
    const abroad = await told(stranger, [item('mine', { id: owned[0]!.id })]);
    assert.equal(abroad.outcomes[0]!.reason, '');
    assert.notEqual(abroad.outcomes[0]!.agent!.id, owned[0]!.id);
    await told(liar, []);
    assert.deepEqual(await idsOf(liar), []);
    assert.deepEqual(
      await world.sql('select * from agents where node = $1 order by id', [victim.id]),
      before,
    );
  });

  it('do not take away what was registered since, nor what they describe wrongly', async () => {
    const node = await fresh();
    const { agent } = await node.client.registerAgent({ name: 'wrongly', adapter: 'stream' });
    const bad = profile({ visibility: 'secret' });
    const { outcomes } = await told(node, [item('wrongly', { profile: bad })]);
    assert.equal(outcomes[0]!.reason, 'INVALID_PROFILE');
    assert.deepEqual(await idsOf(node), [agent!.id]);
  });

  it('do not bring back what a person has removed', async () => {
    const node = await fresh();
    const { outcomes } = await told(node, [item('gone-for-good'), item('stays')]);
    const [gone, stays] = outcomes.map(({ agent }) => item(agent!.name, { id: agent!.id }));
    const admin = await world.asUser(one, ['admin']);
    await admin.deregisterAgent({ agent: 'gone-for-good' });
    const again = await told(node, [gone!, stays!]);
    assert.deepEqual(
      again.outcomes.map(({ reason }) => reason),
      ['AGENT_REMOVED', ''],
    );
    assert.deepEqual(await idsOf(node), [stays!.id]);
    // Its name is free, also for the node that had it.
    await node.client.registerAgent({ name: 'gone-for-good', adapter: 'stream' });
  });

  it('are bounded by the wire, the node and the plan, exactly', async () => {
    const node = await fresh();
    const tooMany = Array.from({ length: 10_001 }, (_, i) => item(`n-${i}`));
    assert.equal(await reasonOf(told(node, tooMany)), 'ROSTER_TOO_LARGE');
    const org = world.freshOrg();
    const limits = { workspaces: -1, nodes: -1, members: -1, agents: 30 };
    await world.publish({ org, version: 1, limits, plan: 'team' });
    const both = await Promise.all([world.node(one, 'left', org), world.node(two, 'right', org)]);
    const lists = both.map((at) => Array.from({ length: 20 }, (_, i) => item(`${at.name}-${i}`)));
    let reasons: string[] = [];
    for (let tries = 0; tries < 50; tries++) {
      const answers = await Promise.all(both.map((at, i) => told(at, lists[i]!)));
      reasons = answers.flatMap(({ outcomes }) => outcomes.map(({ reason }) => reason));
      if (reasons.includes('PLAN_LIMIT')) break;
    }
    assert.equal(reasons.filter((reason) => reason === '').length, 30);
    assert.equal(reasons.filter((reason) => reason === 'PLAN_LIMIT').length, 10);
    assert.equal((await world.rows(org)).agents, 30);
  });

  it('of a draining node bring nothing new', async () => {
    const node = await fresh();
    await told(node, [item('old')]);
    await world.sql('update nodes set draining = true where id = $1', [node.id]);
    const { outcomes } = await told(node, [item('old'), item('new')]);
    assert.deepEqual(
      outcomes.map(({ reason }) => reason),
      ['', 'NODE_DRAINING'],
    );
    assert.equal(
      await reasonOf(node.client.registerAgent({ name: 'new', adapter: 'stream' })),
      'NODE_DRAINING',
    );
    assert.equal(await reasonOf(node.client.registerAgent({ name: 'old', adapter: 'stream' })), 'none');
  });

  it('and registrations refuse profiles that do not fit, with each field that does not', async () => {
    const node = await fresh();
    const bad = profile({
      model: 'x'.repeat(101),
      capabilities: ['ok', 'not ok', '-x'],
      visibility: 'group',
      tools: { tools: ['a\nb'] },
      location: { kind: 'moon', details: {} },
    });
    const refused = await errorOf(node.client.registerAgent({ name: 'p', adapter: 'stream', profile: bad }));
    assert.equal(refused?.reason, 'INVALID_PROFILE');
    assert.deepEqual(refused?.violations.map(({ field }) => field).toSorted(), [
      'profile.capabilities[1]',
      'profile.capabilities[2]',
      'profile.group',
      'profile.location.kind',
      'profile.model',
      'profile.tools[0]',
    ]);
    const many = profile({ capabilities: Array.from({ length: 33 }, (_, i) => `c${i}`) });
    assert.equal(
      await reasonOf(node.client.registerAgent({ name: 'p', adapter: 'stream', profile: many })),
      'INVALID_PROFILE',
    );
  });

  it('and registrations refuse names with any other character', async () => {
    const node = await fresh();
    const odd = [
      '',
      ' ',
      'a b',
      'a.b',
      'a/b',
      'a\\b',
      'a\0b',
      'a\nb',
      'a\u202eb',
      'é',
      'ａ',
      '名',
      '🙂',
      'a_b',
      'a@b',
      '#a',
      '%a',
      '?a',
      '*',
      '>',
      'a>',
      '$a',
      "a'b",
      'a"b',
      'a;b',
      'a:b',
      'a,b',
      'x'.repeat(51),
      '\ud800',
    ];
    for (const name of odd) {
      assert.equal(
        await reasonOf(node.client.registerAgent({ name, adapter: 'stream' })),
        'INVALID_NAME',
        name,
      );
      assert.equal(await reasonOf(node.client.createChannel({ name })), 'INVALID_NAME', name);
    }
    const { outcomes } = await told(
      node,
      odd.map((name) => item(name)),
    );
    assert.ok(outcomes.every(({ reason }) => reason === 'INVALID_NAME'));
    assert.deepEqual(await idsOf(node), []);
  });
});
