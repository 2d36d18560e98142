/**
 * Goal: policies are kept as they are written, decide in every service within seconds, and can be tried out before. Method:
 * the real service on real servers, with another service that asks what it has heard of.
 */

import assert from 'node:assert/strict';
import { newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type Client, errorOf, type OrgWorld, reasonOf, startOrgWorld } from './fixture.ts';
import { type Neighbour, SOON, startNeighbour } from './neighbour.ts';

const silent = [{ agents: '*', canMessage: { patterns: [] } }];

describe('policies', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let neighbour: Neighbour;
  before(async () => {
    world = await startOrgWorld();
    one = await world.start();
    neighbour = await startNeighbour(world);
  });
  after(async () => {
    await neighbour?.stop();
    await world?.[Symbol.asyncDispose]();
  });

  const fresh = (name: string) => world.otherOrg(one, name);

  /** A workspace of its own, with one repository. */
  async function subjectsOf(client: Client, user: string): Promise<[string, string][]> {
    const { workspace } = await client.createWorkspace({ name: 'home', repositories: [{ url: 'git:home' }] });
    return [
      ['org', ''],
      ['user', user],
      ['workspace', workspace!.id],
      ['repo', workspace!.repositories[0]!.id],
    ];
  }

  it('are created, listed, changed and deleted at each level', async () => {
    const { id: org, owner: boss } = await fresh('levels');
    const { createPolicy, listPolicies, updatePolicy, deletePolicy } = boss.client;
    for (const [level, subject] of await subjectsOf(boss.client, boss.user)) {
      const sent = { level, subject, name: 'Same name', description: 'd', priority: -5, rules: silent };
      const { policy } = await createPolicy({
        policy: { ...sent, id: 'p_mine', version: 7, createdBy: 'me' },
      });
      const { id, createdAtMs, updatedAtMs, rules, ...kept } = policy!;
      const { rules: _, ...expected } = { ...sent, disabled: false, version: 1, createdBy: boss.user };
      assert.deepEqual(kept, expected);
      assert.ok(id.startsWith('p_') && id !== 'p_mine' && createdAtMs === updatedAtMs, id);
      assert.deepEqual(
        rules.map(({ agents, canMessage }) => ({ agents, canMessage })),
        silent,
      );
      assert.deepEqual((await listPolicies({ level, subject })).policies, [policy]);
      const { policy: updated } = await updatePolicy({ policy: { ...policy!, name: 'New', disabled: true } });
      assert.deepEqual([updated!.name, updated!.disabled, updated!.version], ['New', true, 2]);
      assert.deepEqual((await listPolicies({ level })).policies, [updated]);
    }
    const { policies } = await listPolicies({});
    assert.equal(policies.length, 4);
    await eventually(async () => (await world.published(org))?.policies.length === 0, SOON);
    for (const { id } of policies) await deletePolicy({ id });
    assert.deepEqual((await listPolicies({})).policies, []);
    const { entries } = await boss.client.listAudit({ filter: { action: 'policy' } });
    assert.equal(entries.length, 12);
  });

  it('go with what they are for', async () => {
    const { owner: boss } = await fresh('gone');
    const bob = await world.join(one, boss.client, 'bob@gone.test');
    const subjects = await subjectsOf(bob.client, bob.user);
    for (const [level, subject] of subjects)
      await boss.client.createPolicy({ policy: { level, subject, name: level, rules: silent } });
    const levels = async () => (await boss.client.listPolicies({})).policies.map(({ level }) => level).sort();
    const id = subjects[2]![1];
    const { workspaces } = await bob.client.listWorkspaces({});
    await bob.client.updateWorkspace({ id, version: workspaces[0]!.version, repositories: {} });
    assert.deepEqual(await levels(), ['org', 'user', 'workspace']);
    await bob.client.deleteWorkspace({ id });
    assert.deepEqual(await levels(), ['org', 'user']);
    await bob.client.leaveOrg({});
    assert.deepEqual(await levels(), ['org']);
  });

  it('decide in a running service within seconds, from creation to deletion', async () => {
    const { id: org, owner: boss } = await fresh('effect');
    const { token } = await world.client(one).exchangeKey(boss);
    const becomes = (reason: string) =>
      eventually(async () => (await neighbour.ask(token, 'bob')).reason === reason, SOON);
    await becomes('ALLOWED_BY_DEFAULT');
    const { createPolicy, updatePolicy, deletePolicy } = boss.client;
    const { policy } = await createPolicy({ policy: { level: 'org', name: 'silence', rules: silent } });
    await becomes('MESSAGE_DENIED');
    assert.deepEqual((await world.published(org))!.policies, [policy]);
    const but = { agents: 'al*', canMessage: { patterns: ['b?b'] } };
    await createPolicy({ policy: { level: 'org', name: 'but', priority: 1, rules: [but] } });
    await becomes('ALLOWED_BY_POLICY');
    assert.equal((await neighbour.ask(token, 'carol')).reason, 'MESSAGE_DENIED');
    const { policies } = await boss.client.listPolicies({});
    const higher = policies.find(({ name }) => name === 'but')!;
    await updatePolicy({ policy: { ...higher, disabled: true } });
    await becomes('MESSAGE_DENIED');
    await deletePolicy({ id: policy!.id });
    await becomes('ALLOWED_BY_DEFAULT');
  });

  it('decide by where an agent is assigned, and for whom it works', async () => {
    const { owner: boss } = await fresh('assigned');
    const [, user, workspace] = await subjectsOf(boss.client, boss.user);
    await boss.client.createPolicy({
      policy: { level: 'workspace', subject: workspace![1], name: 'w', rules: silent },
    });
    const ask = async (by = '') => {
      const question = { action: 'message', actor: 'alice', target: 'bob', user: by };
      const { reason, source } = await boss.client.testPolicy(question);
      return `${reason} ${source}`;
    };
    assert.equal(await ask(), 'ALLOWED_BY_DEFAULT default');
    await boss.client.assignAgent({ workspace: workspace![1], agent: 'Alice' });
    assert.equal(await ask(), 'MESSAGE_DENIED workspace');
    const rules = [{ agents: '*', canMessage: { patterns: ['*'] } }];
    await boss.client.createPolicy({ policy: { level: 'user', subject: user![1], name: 'u', rules } });
    assert.equal(await ask(), 'ALLOWED_BY_POLICY user');
    assert.equal(await ask(newId('user')), 'MESSAGE_DENIED workspace');
  });

  it('are tried out without being saved: a new one, or a changed one', async () => {
    const { owner: boss } = await fresh('tried');
    const { createPolicy, testPolicy, listPolicies } = boss.client;
    const { policy } = await createPolicy({ policy: { level: 'org', name: 'silence', rules: silent } });
    const question = { action: 'message', actor: 'alice', target: 'bob' };
    const denied = await testPolicy(question);
    const { allowed, reason, source, matchedPolicy, matchedPolicyName } = denied;
    assert.deepEqual([allowed, reason, source], [false, 'MESSAGE_DENIED', 'org']);
    assert.deepEqual([matchedPolicy, matchedPolicyName], [policy!.id, 'silence']);
    assert.match(denied.explanation, /silence/);
    const open = [{ agents: '*', canMessage: { patterns: ['*'] }, rateLimitPerMinute: 9 }];
    const added = { level: 'org', name: 'open', priority: 1, rules: open };
    const tried = await testPolicy({ ...question, candidate: added });
    assert.deepEqual([tried.allowed, tried.matchedPolicy, tried.rateLimitPerMinute], [true, 'candidate', 9]);
    const exchanged = await testPolicy({ ...question, candidate: { ...policy!, rules: open } });
    assert.deepEqual([exchanged.allowed, exchanged.matchedPolicy], [true, policy!.id]);
    const without = await testPolicy({ ...question, candidate: { ...policy!, disabled: true } });
    assert.deepEqual([without.allowed, without.source], [true, 'default']);
    const spawn = { action: 'spawn', actor: 'alice', target: 'bob', spawned: 2 };
    const limited = { level: 'org', name: 'few', rules: [{ agents: '*', maxSpawns: 2 }] };
    assert.equal((await testPolicy({ ...spawn, candidate: limited })).reason, 'SPAWN_LIMIT');
    assert.equal((await testPolicy({ ...spawn, spawned: 1, candidate: limited })).allowed, true);
    assert.equal(await reasonOf(testPolicy({ ...question, candidate: {} })), 'INVALID_POLICY');
    assert.deepEqual((await listPolicies({})).policies, [policy]);
    assert.deepEqual(await testPolicy(question), denied);
  });

  it('of the whole org need a plan that has them, but can go without', async () => {
    const { owner: boss } = await fresh('plan');
    const { createPolicy, updatePolicy, deletePolicy } = boss.client;
    const { policy } = await createPolicy({ policy: { level: 'org', name: 'kept', rules: silent } });
    assert.equal(await reasonOf(boss.client.changePlan({ plan: 'pro' })), 'PLAN_NOT_SOLD');
    await (await world.operator(one)).changePlan({ org: 'plan', plan: 'pro' });
    const error = await errorOf(createPolicy({ policy: { level: 'org', name: 'new', rules: silent } }));
    assert.deepEqual([error?.kind, error?.reason], ['failed_precondition', 'PLAN_FEATURE']);
    assert.deepEqual(error?.details, { plan: 'pro', lifted_by: 'team' });
    assert.equal(await reasonOf(updatePolicy({ policy: { ...policy!, name: 'x' } })), 'PLAN_FEATURE');
    const own = { level: 'user', subject: boss.user, name: 'own', rules: silent };
    assert.equal(await reasonOf(createPolicy({ policy: own })), 'none');
    assert.equal(await reasonOf(deletePolicy({ id: policy!.id })), 'none');
  });

  it('are bounded, in number and in bytes', async () => {
    const small = await world.start({ max_policies: 2, max_policy_bytes: 1000 });
    const { owner: boss } = await world.otherOrg(small, 'bounded');
    const make = (name: string, description = '') =>
      boss.client.createPolicy({ policy: { level: 'org', name, description, rules: silent } });
    await make('first');
    assert.equal(await reasonOf(make('long', 'x'.repeat(1000))), 'POLICY_LIMIT');
    const { policy } = await make('second');
    const longer = { ...policy!, description: 'x'.repeat(1000) };
    assert.equal(await reasonOf(boss.client.updatePolicy({ policy: longer })), 'POLICY_LIMIT');
    // What is switched off is not published.
    assert.equal(await reasonOf(boss.client.updatePolicy({ policy: { ...longer, disabled: true } })), 'none');
    assert.equal(await reasonOf(make('third')), 'POLICY_LIMIT');
    assert.equal((await boss.client.listPolicies({})).policies.length, 2);
    await small.stop();
  });
});
