/**
 * Goal: orgs, members, invites and workspaces behave as people expect, at every edge. Method: replicas of the real service
 * over gRPC on real servers.
 */

import assert from 'node:assert/strict';
import type { RunningService } from '@fleetwire/runtime';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { errorOf, type OrgWorld, type Person, reasonOf, secretOf, startOrgWorld } from './fixture.ts';

describe('people of an org', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let owner: Person;
  before(async () => {
    world = await startOrgWorld();
    one = await world.start();
    owner = await world.owner(one);
  });
  after(() => world?.[Symbol.asyncDispose]());

  /** A fresh org, so that tests do not meet. */
  const fresh = (name: string) => world.otherOrg(one, name);

  it('makes an org for its creator, with a slug of its name and a key of its own', async () => {
    const { org, secret } = await owner.client.createOrg({ name: 'Blue Whale, Inc.' });
    assert.equal(org!.slug, 'blue-whale-inc');
    assert.deepEqual([org!.ownerEmail, org!.members, org!.status], ['owner@acme.test', 1, 'active']);
    const mine = await world.as(one, secret);
    assert.equal((await mine.getOrg({})).org!.id, org!.id);
    const again = await owner.client.createOrg({ name: 'Blue Whale, Inc.' });
    assert.equal(again.org!.slug, 'blue-whale-inc-2');
    const error = await errorOf(owner.client.createOrg({ name: 'x', slug: 'blue-whale-inc' }));
    assert.deepEqual([error?.reason, error?.details['suggestion']], ['SLUG_TAKEN', 'blue-whale-inc-3']);
    for (const slug of ['a', 'A-b', '-ab', 'ab-', 'a--b', 'a_b', 'x'.repeat(51), 'ä-b'])
      assert.equal(await reasonOf(owner.client.createOrg({ name: 'x', slug })), 'INVALID_SLUG', slug);
  });

  it('lets the invited person in, once, with the role that was granted', async () => {
    const { owner: boss } = await fresh('invites');
    const { url, invite } = await boss.client.createInvite({ email: 'Bob@Example.org', role: 'admin' });
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/invite\/fwi_/);
    const secret = secretOf(url);
    const anyone = world.client(one);
    const seen = await anyone.lookInvite({ secret });
    assert.deepEqual([seen.orgName, seen.role, seen.forOneAddress], ['invites', 'admin', true]);
    assert.equal(
      await reasonOf(anyone.acceptInvite({ secret, email: 'eve@example.org' })),
      'INVITE_OTHER_EMAIL',
    );
    const joined = await anyone.acceptInvite({ secret, email: 'bob@example.ORG' });
    assert.equal(joined.role, 'admin');
    assert.equal(await reasonOf(anyone.acceptInvite({ secret, email: 'bob@example.org' })), 'INVITE_USED');
    const bob = await world.as(one, joined.apiKey);
    const { members } = await bob.listMembers({});
    assert.deepEqual(members.map((m) => m.role).sort(), ['admin', 'owner']);
    assert.equal(await reasonOf(boss.client.createInvite({ email: 'bob@example.org' })), 'ALREADY_MEMBER');
    assert.equal(await reasonOf(boss.client.revokeInvite({ id: invite!.id })), 'INVITE_USED');
  });

  it('tells others within seconds that a removed member may do nothing any more', async () => {
    const { id, owner: boss } = await fresh('removal');
    const bob = await world.join(one, boss.client, 'bob@removal.test');
    await bob.client.createWorkspace({ name: 'bobs' });
    const { workspacesSuspended } = await boss.client.removeMember({ user: bob.user });
    assert.equal(workspacesSuspended, 1);
    const refused = await reasonOf(bob.client.getOrg({}));
    assert.ok(['NOT_A_MEMBER', 'TOKEN_REVOKED'].includes(refused), refused);
    assert.equal(await reasonOf(world.client(one).exchangeKey({ apiKey: bob.apiKey })), 'API_KEY_REVOKED');
    await eventually(async () => {
      const state = await world.published(id);
      return state?.revocations.some((r) => r.kind === 'user' && r.subject === bob.user) === true;
    });
    await eventually(async () => (await reasonOf(bob.client.getOrg({}))) === 'TOKEN_REVOKED');
    const { workspaces } = await boss.client.listWorkspaces({ status: 'suspended' });
    const [suspended] = workspaces;
    assert.ok(suspended!.graceUntilMs - suspended!.suspendedAtMs === 30 * 24 * 3_600_000);
    const assign = boss.client.assignAgent({ workspace: suspended!.id, agent: 'robo' });
    assert.equal(await reasonOf(assign), 'WORKSPACE_SUSPENDED');
    const { workspace } = await boss.client.reassignWorkspace({ id: suspended!.id, user: boss.user });
    assert.deepEqual([workspace!.status, workspace!.user], ['running', boss.user]);
  });

  it('hands an org on when its owner leaves, to the admin who joined first', async () => {
    const { owner: boss } = await fresh('succession');
    assert.equal(await reasonOf(boss.client.leaveOrg({})), 'NO_ADMIN_TO_PROMOTE');
    const member = await world.join(one, boss.client, 'member@succession.test');
    assert.equal(await reasonOf(boss.client.leaveOrg({})), 'NO_ADMIN_TO_PROMOTE');
    const first = await world.join(one, boss.client, 'first@succession.test', 'admin');
    await world.join(one, boss.client, 'second@succession.test', 'admin');
    assert.equal(await reasonOf(first.client.removeMember({ user: boss.user })), 'OWNER_CANNOT_BE_REMOVED');
    assert.equal(await reasonOf(first.client.removeMember({ user: first.user })), 'LEAVE_INSTEAD');
    const { newOwner } = await boss.client.leaveOrg({});
    assert.equal(newOwner, first.user);
    const { members } = await first.client.listMembers({ role: 'owner' });
    assert.deepEqual(
      members.map((m) => m.user),
      [first.user],
    );
    await first.client.transferOwnership({ user: member.user });
    assert.equal((await member.client.listMembers({ role: 'owner' })).members[0]!.user, member.user);
  });

  it('deletes an org in order, and the operator restores it', async () => {
    const { id, owner: boss } = await fresh('deletion');
    const bob = await world.join(one, boss.client, 'bob@deletion.test');
    await bob.client.createWorkspace({ name: 'kept' });
    assert.equal(await reasonOf(boss.client.deleteOrg({ confirmSlug: 'x' })), 'CONFIRM_SLUG');
    await boss.client.deleteOrg({ confirmSlug: 'deletion' });
    const operator = await world.operator(one);
    const status = async () => (await operator.getOrg({ org: id })).org!.status;
    await eventually(async () => (await world.published(id))?.status === 'deleting');
    assert.equal(await status(), 'deleting');
    const registry = await world.asService(one, 'registry');
    const store = await world.store();
    const step = () =>
      store.query<{ step: string }>('select deletion_step as step from orgs where id = $1', [id]);
    await eventually(async () => (await step())[0]!.step === 'clear_agents');
    await registry.confirmCleared({ org: id, deletion: 1 });
    await eventually(async () => (await status()) === 'deleted');
    assert.equal(await reasonOf(world.client(one).exchangeKey({ apiKey: boss.apiKey })), 'ORG_CLOSED');
    await operator.restoreOrg({ org: 'deletion' });
    await eventually(async () => (await world.published(id))?.status === 'active');
    const back = await world.as(one, boss.apiKey);
    // The service has its own watch of what is published.
    await eventually(async () => (await reasonOf(back.getOrg({}))) === 'none');
    const { members } = await back.listMembers({});
    assert.equal(members.length, 2);
    const { workspaces } = await back.listWorkspaces({});
    assert.deepEqual(
      workspaces.map((w) => [w.name, w.status, w.user]),
      [['kept', 'running', bob.user]],
    );
  });
});
