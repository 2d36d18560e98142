/**
 * Goal: what cannot be is refused with its reason and with all that is wrong with it, and of many who want one thing one
 * gets it. Method: calls with wrong, oversized and extreme input to two replicas of the real service.
 */

import assert from 'node:assert/strict';
import { newId } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';
import { after, before, describe, it } from 'mocha';
import {
  errorOf,
  type OrgWorld,
  outcomes,
  type Person,
  reasonOf,
  secretOf,
  startOrgWorld,
} from './fixture.ts';

/** Kind, reason and the fields that do not fit. */
async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await errorOf(work);
  if (error === undefined) return 'none';
  return [error.kind, error.reason, ...error.violations.map(({ field }) => field)].join(' ');
}

describe('bad input', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let one: RunningService;
  let two: RunningService;
  before(async () => {
    world = await startOrgWorld();
    [one, two] = await Promise.all([world.start(), world.start()]);
  });
  after(() => world?.[Symbol.asyncDispose]());

  const fresh = (name: string) => world.otherOrg(one, name);

  it('of orgs: names, slugs, plans, versions, other orgs', async () => {
    const { owner: boss } = await fresh('orgs');
    const { createOrg, updateOrg, getOrg, deleteOrg, changePlan } = boss.client;
    const operator = await world.operator(one);
    const cases: [Promise<unknown>, string][] = [
      [createOrg({ name: 'x', slug: 'No' }), 'invalid_argument INVALID_SLUG slug'],
      [createOrg({ name: 'x', slug: 'orgs' }), 'already_exists SLUG_TAKEN'],
      [createOrg({ name: ' ' }), 'invalid_argument INVALID_ORG_NAME name'],
      [createOrg({ name: 'x'.repeat(101) }), 'invalid_argument INVALID_ORG_NAME name'],
      [createOrg({ name: 'x\r\nBcc: evil@x' }), 'invalid_argument INVALID_ORG_NAME name'],
      [createOrg({ name: 'x', plan: 'gold' }), 'invalid_argument PLAN_UNKNOWN plan'],
      [updateOrg({ name: 'x' }), 'invalid_argument VERSION_MISSING version'],
      [updateOrg({ version: 99, name: 'x' }), 'aborted VERSION_MISMATCH'],
      [updateOrg({ version: 1, slug: 'acme' }), 'already_exists SLUG_TAKEN'],
      [updateOrg({ version: 1, slug: '' }), 'invalid_argument INVALID_SLUG slug'],
      [getOrg({ org: world.trust.orgs[0]!.id }), 'not_found ORG_UNKNOWN'],
      [getOrg({ org: newId('org') }), 'not_found ORG_UNKNOWN'],
      [deleteOrg({ confirmSlug: 'acme' }), 'invalid_argument CONFIRM_SLUG confirm_slug'],
      [changePlan({ plan: '' }), 'invalid_argument PLAN_UNKNOWN plan'],
    ];
    cases.push([operator.createOrg({ name: 'x' }), 'invalid_argument INVALID_EMAIL email']);
    const limits = { workspaces: -2, agents: 1, nodes: -3, members: -1 };
    const fields = 'limits.workspaces limits.nodes';
    cases.push([operator.setLimits({ org: 'orgs', limits }), `invalid_argument INVALID_LIMITS ${fields}`]);
    cases.push([operator.setLimits({ org: 'nobody' }), 'not_found ORG_UNKNOWN']);
    cases.push([operator.restoreOrg({ org: 'orgs' }), 'failed_precondition ORG_NOT_DELETED']);
    await all(cases);
  });

  it('of members and invites', async () => {
    const { owner: boss } = await fresh('members');
    const bob = await world.join(one, boss.client, 'Bob@members.test');
    const { createInvite, changeRole, removeMember, revokeInvite } = boss.client;
    await createInvite({ email: 'carol@members.test' });
    const emails = [
      'bob',
      'a@b@c',
      '@x.test',
      'a b@x.test',
      'a@x.test\r\nBcc: evil@x',
      'a@-x.test',
      `${'a'.repeat(65)}@x.test`,
    ];
    await all([
      ...emails.map((email): [Promise<unknown>, string] => [
        createInvite({ email }),
        'invalid_argument INVALID_EMAIL email',
      ]),
      [createInvite({ email: 'BOB@members.test' }), 'already_exists ALREADY_MEMBER'],
      [createInvite({ email: 'CAROL@members.test' }), 'already_exists INVITE_PENDING'],
      [createInvite({ role: 'owner' }), 'invalid_argument INVALID_ROLE role'],
      [createInvite({ role: 'king' }), 'invalid_argument INVALID_ROLE role'],
      [createInvite({ note: 'x'.repeat(1001) }), 'invalid_argument INVALID_NOTE note'],
      [createInvite({ note: 'a\0b' }), 'invalid_argument INVALID_NOTE note'],
      [revokeInvite({ id: newId('invite') }), 'not_found INVITE_UNKNOWN'],
      [removeMember({ user: boss.user }), 'failed_precondition OWNER_CANNOT_BE_REMOVED'],
      [removeMember({ user: newId('user') }), 'not_found MEMBER_UNKNOWN'],
      [bob.client.removeMember({ user: boss.user }), 'permission_denied SCOPE_MISSING'],
      [bob.client.createInvite({ email: 'x@x.test' }), 'permission_denied SCOPE_MISSING'],
      [changeRole({ user: bob.user, role: '', version: 1 }), 'invalid_argument INVALID_ROLE role'],
      [changeRole({ user: bob.user, role: 'admin' }), 'invalid_argument VERSION_MISSING version'],
      [changeRole({ user: bob.user, role: 'admin', version: 2 }), 'aborted VERSION_MISMATCH'],
      [changeRole({ user: newId('user'), role: 'admin', version: 1 }), 'not_found MEMBER_UNKNOWN'],
    ]);
  });

  it('of workspaces: all that is wrong with one at once', async () => {
    const { owner: boss } = await fresh('spaces');
    const { createWorkspace, updateWorkspace, assignAgent, reassignWorkspace } = boss.client;
    const { workspace } = await createWorkspace({
      name: 'Space',
      maxAgents: 1,
      repositories: [{ url: 'git:a' }],
    });
    const { id, version } = workspace!;
    await assignAgent({ workspace: id, repo: workspace!.repositories[0]!.id, agent: 'robo' });
    const wrong = {
      name: 'a\nb',
      maxAgents: 1_000_001,
      resourceTier: 'huge',
      repositories: [
        { url: '' },
        { url: 'x'.repeat(501) },
        { url: 'git:a', defaultBranch: 'a\u0007b' },
        { url: 'git:a' },
      ],
    };
    const fields = ['name', 'resource_tier', 'max_agents', 'repositories[0].url', 'repositories[1].url'];
    const repos = ['repositories[2].default_branch', 'repositories[3].url'];
    const many = Array.from({ length: 51 }, (_, i) => ({ url: `git:${i}` }));
    await all([
      [createWorkspace(wrong), `invalid_argument INVALID_WORKSPACE ${[...fields, ...repos].join(' ')}`],
      [createWorkspace({ name: 'x', repositories: many }), 'invalid_argument INVALID_WORKSPACE repositories'],
      [createWorkspace({ name: 'SPACE' }), 'already_exists WORKSPACE_NAME_TAKEN'],
      [updateWorkspace({ id, version: version + 7 }), 'aborted VERSION_MISMATCH'],
      [updateWorkspace({ id, version, status: 'suspended' }), 'invalid_argument INVALID_WORKSPACE status'],
      [updateWorkspace({ id, version, status: 'provisioning' }), 'invalid_argument INVALID_WORKSPACE status'],
      [updateWorkspace({ id, version, repositories: {} }), 'failed_precondition REPO_IN_USE'],
      [updateWorkspace({ id: newId('workspace'), version }), 'not_found WORKSPACE_UNKNOWN'],
      [reassignWorkspace({ id, user: newId('user') }), 'not_found MEMBER_UNKNOWN'],
      [assignAgent({ workspace: id, agent: 'second' }), 'resource_exhausted WORKSPACE_FULL'],
      [assignAgent({ workspace: id, agent: 'robo', repo: newId('repo') }), 'not_found REPO_UNKNOWN'],
      [assignAgent({ workspace: id, agent: 'no name' }), 'invalid_argument INVALID_NAME'],
    ]);
    // An agent that is there already does not count twice.
    assert.equal(await reasonOf(assignAgent({ workspace: id, agent: 'ROBO' })), 'none');
  });

  it('of keys, join tokens and policies', async () => {
    const { owner: boss } = await fresh('things');
    const { createApiKey, createJoinToken, createPolicy, updatePolicy, testPolicy } = boss.client;
    const rules = [{ agents: '*', maxSpawns: 1 }];
    const { policy } = await createPolicy({ policy: { level: 'org', name: 'Base', rules } });
    const wrong = {
      level: 'planet',
      name: 'x\ny',
      description: 'x'.repeat(2001),
      priority: 1001,
      rules: [{ agents: 'a b' }, { agents: '*', rateLimitPerMinute: 0 }],
    };
    const fields = ['level', 'name', 'description', 'priority', 'rules[0].agents', 'rules[0]'];
    const seen = [...fields, 'rules[1].rate_limit_per_minute'].map((field) => `policy.${field}`).join(' ');
    const many = Array.from({ length: 101 }, () => rules[0]!);
    await all([
      [createApiKey({ name: '', scopes: ['send'] }), 'invalid_argument INVALID_KEY_NAME name'],
      [createApiKey({ name: 'x'.repeat(101), scopes: ['send'] }), 'invalid_argument INVALID_KEY_NAME name'],
      [createApiKey({ name: 'x' }), 'invalid_argument NO_SCOPE'],
      [createApiKey({ name: 'x', scopes: ['send', 'fly'] }), 'invalid_argument UNKNOWN_SCOPE'],
      [createApiKey({ name: 'x', scopes: ['send'], expiresAtMs: -1 }), 'invalid_argument EXPIRY_IN_THE_PAST'],
      [createApiKey({ name: 'x', scopes: ['send'], expiresAtMs: Number.MAX_SAFE_INTEGER }), 'none'],
      [createJoinToken({ ttlS: 4_294_967_295 }), 'invalid_argument INVALID_TTL'],
      [createPolicy({}), 'invalid_argument INVALID_POLICY policy.level policy.name policy.rules'],
      [createPolicy({ policy: wrong }), `invalid_argument INVALID_POLICY ${seen}`],
      [
        createPolicy({ policy: { level: 'org', name: 'x', rules: many } }),
        'invalid_argument INVALID_POLICY policy.rules',
      ],
      [createPolicy({ policy: { level: 'org', name: 'BASE', rules } }), 'already_exists POLICY_NAME_TAKEN'],
      [
        createPolicy({ policy: { level: 'org', subject: 'x', name: 'x', rules } }),
        'invalid_argument INVALID_POLICY policy.subject',
      ],
      [
        createPolicy({ policy: { level: 'user', subject: newId('user'), name: 'x', rules } }),
        'not_found MEMBER_UNKNOWN',
      ],
      [
        createPolicy({ policy: { level: 'repo', subject: newId('repo'), name: 'x', rules } }),
        'not_found REPO_UNKNOWN',
      ],
      [updatePolicy({ policy: { ...policy, version: 0 } }), 'invalid_argument VERSION_MISSING version'],
      [updatePolicy({ policy: { ...policy, version: 9 } }), 'aborted VERSION_MISMATCH'],
      [updatePolicy({}), 'not_found POLICY_UNKNOWN'],
      [
        testPolicy({ action: 'fly', actor: 'a b', target: '' }),
        'invalid_argument INVALID_QUESTION action actor target',
      ],
    ]);
  });

  it('of invites that are used, late, taken back, or for somebody else', async () => {
    const { id, owner: boss } = await fresh('links');
    const anyone = world.client(two);
    const link = async (email = '') => {
      const { url, invite } = await boss.client.createInvite({ email });
      return { secret: secretOf(url), id: invite!.id };
    };
    const late = await link();
    const store = await world.store();
    await store.query('update invites set expires_at_ms = 1 where id = $1', [late.id]);
    const taken = await link();
    await boss.client.revokeInvite({ id: taken.id });
    await boss.client.revokeInvite({ id: taken.id });
    const hers = await link('ann@links.test');
    const used = await link();
    await anyone.acceptInvite({ secret: used.secret, email: 'bob@links.test' });
    const email = 'eve@links.test';
    const accept = (secret: string) => anyone.acceptInvite({ secret, email });
    await all([
      [accept(late.secret), 'failed_precondition INVITE_EXPIRED'],
      [anyone.lookInvite({ secret: late.secret }), 'failed_precondition INVITE_EXPIRED'],
      [accept(taken.secret), 'failed_precondition INVITE_REVOKED'],
      [accept(hers.secret), 'permission_denied INVITE_OTHER_EMAIL'],
      [accept(used.secret), 'failed_precondition INVITE_USED'],
      [accept(`${used.secret.slice(0, -1)}_`), 'not_found INVITE_INVALID'],
      [accept('fwi_no'), 'not_found INVITE_INVALID'],
      [accept("fwi_' or 1=1 --"), 'not_found INVITE_INVALID'],
    ]);
    const { entries } = await boss.client.listAudit({ filter: { actor: 'invitee' } });
    assert.ok(entries.every(({ details }) => details['email'] === email));
    const audited = entries.map((entry) =>
      [entry.actorKind, entry.action, entry.reason, entry.target].join(' '),
    );
    assert.deepEqual(audited.sort(), [
      `invitee invite.accept INVITE_EXPIRED ${late.id}`,
      `invitee invite.accept INVITE_OTHER_EMAIL ${hers.id}`,
      `invitee invite.accept INVITE_REVOKED ${taken.id}`,
      `invitee invite.accept INVITE_USED ${used.id}`,
    ]);
    const { invites } = await boss.client.listInvites({});
    const states = Object.fromEntries(invites.map((invite) => [invite.id, invite.status]));
    assert.deepEqual(states, {
      [late.id]: 'expired',
      [taken.id]: 'revoked',
      [hers.id]: 'pending',
      [used.id]: 'accepted',
    });
    // Its address is free again once an invite has expired or was taken back.
    await store.query('update invites set expires_at_ms = 1 where id = $1', [hers.id]);
    assert.equal(await reasonOf(boss.client.createInvite({ email: 'ann@links.test' })), 'none');
    assert.equal((await boss.client.getOrg({ org: id })).org!.members, 2);
  });

  it('by many at once: one slug, one link and one name go to one', async () => {
    const { owner: boss } = await fresh('races');
    const replicas = [world.as(one, boss.apiKey), world.as(two, boss.apiKey)];
    const clients = await Promise.all(replicas);
    const race = (count: number, work: (client: Person['client'], i: number) => Promise<unknown>) =>
      outcomes(Array.from({ length: count }, (_, i) => work(clients[i % 2]!, i)));
    const slugs = await race(10, (client) => client.createOrg({ name: 'x', slug: 'wanted' }));
    assert.deepEqual(slugs, { none: 1, SLUG_TAKEN: 9 });
    assert.deepEqual(await race(8, (client) => client.createOrg({ name: 'Same Name' })), { none: 8 });
    const { url } = await boss.client.createInvite({});
    const secret = secretOf(url);
    const anyone = [world.client(one), world.client(two)];
    const links = await race(10, (_, i) =>
      anyone[i % 2]!.acceptInvite({ secret, email: `p${i}@races.test` }),
    );
    assert.deepEqual(links, { none: 1, INVITE_USED: 9 });
    assert.equal((await boss.client.getOrg({})).org!.members, 2);
    const invites = await race(6, (client) => client.createInvite({ email: 'one@races.test' }));
    assert.deepEqual(invites, { none: 1, INVITE_PENDING: 5 });
    const names = await race(6, (client) => client.createWorkspace({ name: 'One' }));
    assert.deepEqual(names, { none: 1, WORKSPACE_NAME_TAKEN: 5 });
  });
});

async function all(cases: readonly [Promise<unknown>, string][]): Promise<void> {
  const seen = await Promise.all(cases.map(([work]) => refusalOf(work)));
  assert.deepEqual(
    seen,
    cases.map(([, expected]) => expected),
  );
}
