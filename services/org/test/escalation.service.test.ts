/**
 * Goal: nobody gets to do more than their role allows, by whatever way, and each try is in the audit. Method: the real service
 * on real servers, and people who try.
 */

import assert from 'node:assert/strict';
import type { RunningService } from '@fleetwire/runtime';
import { after, before, describe, it } from 'mocha';
import { deniedTo, type OrgWorld, type Person, reasonOf, startOrgWorld } from './fixture.ts';

interface Team {
  readonly id: string;
  readonly boss: Person;
  readonly admin: Person;
  readonly member: Person;
}

describe('more than the role allows', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  before(async () => {
    world = await startOrgWorld();
    one = await world.start();
  });
  after(() => world?.[Symbol.asyncDispose]());

  async function team(name: string): Promise<Team> {
    const { id, owner: boss } = await world.otherOrg(one, name);
    const admin = await world.join(one, boss.client, `admin@${name}.test`, 'admin');
    return { id, boss, admin, member: await world.join(one, boss.client, `member@${name}.test`) };
  }

  const roles = async ({ boss }: Team) =>
    (await boss.client.listMembers({})).members.map(({ user, role }) => `${user} ${role}`).sort();

  it('is not had by roles: invites, changes, hand-overs, removals', async () => {
    const all = await team('roles');
    const { boss, admin, member } = all;
    const version = 1;
    const before = await roles(all);
    const tries: [Person, () => Promise<unknown>, string, string][] = [
      [admin, () => admin.client.createInvite({ role: 'owner' }), 'invite.create', 'INVALID_ROLE'],
      [
        admin,
        () => admin.client.changeRole({ user: admin.user, role: 'owner', version }),
        'member.role',
        'ROLE_TOO_LOW',
      ],
      [
        admin,
        () => admin.client.changeRole({ user: member.user, role: 'admin', version }),
        'member.role',
        'ROLE_TOO_LOW',
      ],
      [
        admin,
        () => admin.client.changeRole({ user: boss.user, role: 'member', version }),
        'member.role',
        'ROLE_TOO_LOW',
      ],
      [admin, () => admin.client.transferOwnership({ user: admin.user }), 'org.transfer', 'ROLE_TOO_LOW'],
      [
        admin,
        () => admin.client.removeMember({ user: boss.user }),
        'member.remove',
        'OWNER_CANNOT_BE_REMOVED',
      ],
      [admin, () => admin.client.deleteOrg({ confirmSlug: 'roles' }), 'org.delete', 'ROLE_TOO_LOW'],
      [admin, () => admin.client.changePlan({ plan: 'free' }), 'plan.change', 'ROLE_TOO_LOW'],
      [admin, () => admin.client.setLimits({}), 'plan.limits', 'SERVICE_ONLY'],
      [
        admin,
        () => admin.client.createOrg({ name: 'x', ownerEmail: 'x@x.test' }),
        'org.create',
        'OWNER_IS_CALLER',
      ],
      [
        member,
        () => member.client.changeRole({ user: member.user, role: 'admin', version }),
        'member.role',
        'SCOPE_MISSING',
      ],
      [member, () => member.client.createInvite({ role: 'admin' }), 'invite.create', 'SCOPE_MISSING'],
      [member, () => member.client.removeMember({ user: admin.user }), 'member.remove', 'SCOPE_MISSING'],
      [
        boss,
        () => boss.client.changeRole({ user: member.user, role: 'owner', version }),
        'member.role',
        'INVALID_ROLE',
      ],
      [
        boss,
        () => boss.client.changeRole({ user: boss.user, role: 'member', version }),
        'member.role',
        'OWNER_ROLE_FIXED',
      ],
    ];
    for (const [, work, action, reason] of tries) assert.equal(await reasonOf(work()), reason, action);
    await boss.client.transferOwnership({ user: boss.user });
    assert.deepEqual(await roles(all), before);
    for (const { user } of [admin, member, boss]) {
      const expected = tries
        .filter(([person]) => person.user === user)
        .map(([, , action, reason]) => `${action} ${reason}`);
      assert.deepEqual((await deniedTo(all.boss.client, user)).sort(), expected.sort());
    }
  });

  it('is not had by API keys: none carries more than the token that asks for it', async () => {
    const all = await team('keys');
    const { boss, member } = all;
    const make = (client: Person['client'], ...scopes: string[]) =>
      client.createApiKey({ name: 'more', scopes });
    assert.equal(await reasonOf(make(member.client, 'admin')), 'ROLE_TOO_LOW');
    assert.deepEqual(await deniedTo(all.boss.client, member.user), ['key.create ROLE_TOO_LOW']);
    const { secret } = await make(boss.client, 'account', 'read');
    const narrow = await world.as(one, secret);
    for (const scope of ['admin', 'send', 'node-join'])
      assert.equal(await reasonOf(make(narrow, 'account', scope)), 'SCOPE_MISSING', scope);
    assert.equal((await deniedTo(all.boss.client, boss.user)).length, 3);
    assert.equal(await reasonOf(make(narrow, 'account', 'read')), 'none');
  });

  it('is not had by repeating what somebody else has created', async () => {
    const { boss, admin } = await team('repeats');
    const request = { name: 'ci', scopes: ['admin'], idempotencyKey: 'release-7' };
    const first = await boss.client.createApiKey(request);
    const second = await admin.client.createApiKey(request);
    assert.notEqual(second.key!.id, first.key!.id);
    assert.deepEqual([second.key!.user, second.secret === ''], [admin.user, false]);
  });

  it('is not had by policies: neither a higher level, nor a higher priority, nor those of admins', async () => {
    const all = await team('policies');
    const { boss, member } = all;
    const rules = [{ agents: '*', canMessage: { patterns: [] } }];
    const { workspace } = await member.client.createWorkspace({
      name: 'mine',
      repositories: [{ url: 'git:mine' }],
    });
    const { workspace: other } = await boss.client.createWorkspace({
      name: 'his',
      repositories: [{ url: 'git:his' }],
    });
    const [mine, his] = [workspace!.repositories[0]!.id, other!.repositories[0]!.id];
    const { policy: strict } = await boss.client.createPolicy({
      policy: { level: 'workspace', subject: workspace!.id, name: 'strict', priority: 1, rules },
    });
    const { policy: own } = await member.client.createPolicy({
      policy: { level: 'repo', subject: mine, name: 'own', priority: -1, rules },
    });
    // An admin's for the member: of a priority that a member's own may have.
    const { policy: mild } = await boss.client.createPolicy({
      policy: { level: 'user', subject: member.user, name: 'mild', priority: -5, rules },
    });
    const { updatePolicy, createPolicy, deletePolicy } = member.client;
    const tries: [() => Promise<unknown>, string][] = [
      [() => updatePolicy({ policy: { ...own, priority: 1 } }), 'policy.update PRIORITY_TOO_HIGH'],
      [
        () => updatePolicy({ policy: { ...strict, rules: own!.rules, priority: 0 } }),
        'policy.update PRIORITY_TOO_HIGH',
      ],
      [() => deletePolicy({ id: strict!.id }), 'policy.delete PRIORITY_TOO_HIGH'],
      [() => deletePolicy({ id: mild!.id }), 'policy.delete ROLE_TOO_LOW'],
      [() => updatePolicy({ policy: { ...mild!, disabled: true } }), 'policy.update ROLE_TOO_LOW'],
      [
        () =>
          createPolicy({ policy: { level: 'user', subject: member.user, name: 'x', priority: 1, rules } }),
        'policy.create PRIORITY_TOO_HIGH',
      ],
      [
        () => createPolicy({ policy: { level: 'user', subject: boss.user, name: 'x', priority: -1, rules } }),
        'policy.create ROLE_TOO_LOW',
      ],
      [
        () =>
          createPolicy({
            policy: { level: 'workspace', subject: other!.id, name: 'x', priority: -1, rules },
          }),
        'policy.create ROLE_TOO_LOW',
      ],
      [
        () => createPolicy({ policy: { level: 'repo', subject: his, name: 'x', priority: -1, rules } }),
        'policy.create ROLE_TOO_LOW',
      ],
      [() => createPolicy({ policy: { level: 'org', name: 'x', rules } }), 'policy.create ROLE_TOO_LOW'],
    ];
    const said: string[] = [];
    for (const [work, expected] of tries) {
      const [action] = expected.split(' ');
      said.push(`${action} ${await reasonOf(work())}`);
    }
    assert.deepEqual(
      said,
      tries.map(([, expected]) => expected),
    );
    assert.deepEqual((await deniedTo(all.boss.client, member.user)).sort(), [...said].sort());
    // What it is for cannot be changed at all.
    const { policy } = await updatePolicy({ policy: { ...own, level: 'org', subject: '' } });
    assert.deepEqual([policy!.level, policy!.subject], ['repo', mine]);
  });

  it('is not had by moving agents or workspaces of somebody else', async () => {
    const all = await team('moving');
    const { boss, member } = all;
    const { workspace: his } = await boss.client.createWorkspace({ name: 'his' });
    const { workspace: mine } = await member.client.createWorkspace({ name: 'mine' });
    await boss.client.assignAgent({ workspace: his!.id, agent: 'robo' });
    assert.equal(
      await reasonOf(member.client.assignAgent({ workspace: mine!.id, agent: 'Robo' })),
      'SCOPE_MISSING',
    );
    assert.equal(await reasonOf(member.client.unassignAgent({ agent: 'ROBO' })), 'SCOPE_MISSING');
    const take = member.client.reassignWorkspace({ id: his!.id, user: member.user });
    assert.equal(await reasonOf(take), 'SCOPE_MISSING');
    const expected = [
      'workspace.assign SCOPE_MISSING',
      'workspace.unassign SCOPE_MISSING',
      'workspace.reassign SCOPE_MISSING',
    ];
    assert.deepEqual(await deniedTo(all.boss.client, member.user), expected);
  });

  it('is not had by a membership elsewhere: a token is for one org', async () => {
    const [here, there] = [await team('here'), await team('there')];
    const both = await world.join(one, there.boss.client, here.admin.email);
    assert.notEqual(both.user, here.admin.user, 'giving an address makes nobody another');
    assert.equal(await reasonOf(both.client.getOrg({ org: here.id })), 'ORG_UNKNOWN');
    assert.equal(
      await reasonOf(both.client.listAudit({})),
      'SCOPE_MISSING',
      'an admin here is a member there',
    );
    assert.deepEqual(await deniedTo(there.boss.client, both.user), [
      'org.read ORG_UNKNOWN',
      'audit.read SCOPE_MISSING',
    ]);
  });
});
