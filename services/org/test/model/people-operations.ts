/** Operations of the property tests on orgs and people. */

import assert from 'node:assert/strict';
import { secretOf } from '../fixture.ts';
import {
  ADMINS,
  ALL,
  actor,
  newKey,
  type Operation,
  OWNER,
  pick,
  refusals,
  type Stage,
  someUser,
} from './operation.ts';
import { type ModelInvite, ModelOrg } from './org-model.ts';

const ORGS_MAX = 4;
const LETTERS_TO_ONE = 3;
/** Also of a member, whose role allows less of it for the time being. */
export const FIRST_KEY_SCOPES = ['admin'];

const createOrg: Operation = (stage, dice) => {
  const { model, prefix } = stage;
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const plan = pick(['team', 'pro', 'free', 'enterprise'], dice.b);
  const taken = model.orgs.length >= ORGS_MAX || dice.a % 3 === 0;
  const slug = taken ? pick(model.orgs, dice.a).slug : `${prefix}-${model.orgs.length}`;
  const expect = refusals(
    !org.scopesOf(key).includes('account') && 'SCOPE_MISSING',
    plan === 'enterprise' && 'CONTACT_SALES',
    taken && 'SLUG_TAKEN',
  );
  return {
    says: `createOrg ${slug} ${plan}`,
    by,
    expect,
    run: async (client) => {
      const { org: made, secret } = await client.createOrg({ name: slug, slug, plan });
      const fresh = new ModelOrg(made!.id, slug, plan);
      fresh.join(key.user, model.users.get(key.user)!, 'owner');
      fresh.keys.push(await newKey(stage, key.user, secret, ['admin']));
      model.orgs.push(fresh);
    },
  };
};

const invite: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const again = dice.b % 7 === 6 ? org.openInvites.find((open) => open.email !== '') : undefined;
  const person = again ? again.email : pick(stage.model.people, dice.a);
  const email = dice.b % 4 === 3 && !again ? '' : person;
  const role = pick(['member', 'admin', 'member', 'admin', 'member', 'owner'], dice.b);
  const letters = org.invites.filter((other) => email !== '' && other.email === email).length;
  const open = org.openInvites;
  const expect = refusals(
    org.refusal(key, 'admin', ADMINS),
    role === 'owner' && 'INVALID_ROLE',
    org.members.some((member) => member.email === email) && 'ALREADY_MEMBER',
    email !== '' && open.some((other) => other.email === email) && 'INVITE_PENDING',
    letters >= LETTERS_TO_ONE && 'LETTER_LIMIT',
    !org.hasRoom('members', org.members.length + open.length) && 'PLAN_LIMIT',
  );
  return {
    says: `invite ${email || 'by link'} as ${role}`,
    by,
    expect,
    run: async (client) => {
      const { invite: made, url } = await client.createInvite({ email, role });
      const secret = secretOf(url);
      const granted = role as 'member' | 'admin';
      org.invites.push({ id: made!.id, secret, email, role: granted, by: key.user, state: 'open' });
    },
  };
};

/** Most of them open ones. */
function someInvite({ model }: Stage, n: number): { org: ModelOrg; invite: ModelInvite } | undefined {
  const all = model.orgs.flatMap((org) => org.invites.map((each) => ({ org, invite: each })));
  const open = all.filter((each) => each.invite.state === 'open');
  const list = n % 5 === 4 || open.length === 0 ? all : open;
  return list.length === 0 ? undefined : pick(list, n);
}

const whyClosed = { open: undefined, used: 'INVITE_USED', revoked: 'INVITE_REVOKED' } as const;

const accept: Operation = (stage, dice) => {
  const found = someInvite(stage, dice.a);
  if (found === undefined) return undefined;
  const { org, invite: chosen } = found;
  const right = chosen.email !== '' && dice.b % 4 !== 3;
  const { users, people } = stage.model;
  const person = right ? chosen.email : pick(people, dice.b);
  const expect = refusals(
    org.status !== 'active' && 'INVITE_INVALID',
    whyClosed[chosen.state],
    chosen.email !== '' && chosen.email !== person && 'INVITE_OTHER_EMAIL',
    !org.hasRoom('members', org.members.length) && 'PLAN_LIMIT',
    org.members.some((member) => member.email === person) && 'ALREADY_MEMBER',
  );
  const { world, replicas } = stage.sold;
  return {
    says: `accept ${chosen.id} (${chosen.state}) of ${org.slug} as ${person}`,
    by: world.client(replicas[dice.replica]),
    expect,
    run: async (client) => {
      const email = dice.who % 2 === 0 ? person.toUpperCase() : person;
      const { user, role, apiKey } = await client.acceptInvite({ secret: chosen.secret, email });
      assert.ok(!users.has(user), 'an address makes nobody somebody who was here before');
      assert.equal(role, chosen.role);
      users.set(user, person);
      chosen.state = 'used';
      org.join(user, person, chosen.role);
      org.keys.push(await newKey(stage, user, apiKey, FIRST_KEY_SCOPES));
    },
  };
};

const revokeInvite: Operation = (stage, dice) => {
  const found = someInvite(stage, dice.a);
  if (found === undefined) return undefined;
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const { invite: chosen } = found;
  const expect = refusals(
    org.refusal(key, 'admin', ADMINS),
    found.org !== org && 'INVITE_UNKNOWN',
    chosen.state === 'used' && 'INVITE_USED',
  );
  return {
    says: `revokeInvite ${chosen.id} (${chosen.state})`,
    by,
    expect,
    run: async (client) => {
      await client.revokeInvite({ id: chosen.id });
      chosen.state = 'revoked';
    },
  };
};

const changeRole: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  // Somebody who has invited others, if there is one: that must not outlast the right to.
  const inviter = org.openInvites.find((open) => org.member(open.by)?.role === 'admin')?.by;
  const demoting = inviter !== undefined && dice.b % 2 === 0;
  const user = demoting ? inviter : someUser(stage, org, dice.a);
  const target = org.member(user);
  const role = demoting ? 'member' : pick(['admin', 'member', 'admin', 'member', 'owner'], dice.b);
  const stale = dice.b % 7 === 6;
  const version = Math.max(0, (target?.version ?? 1) - (stale ? 1 : 0));
  const expect = refusals(
    org.refusal(key, 'admin', OWNER),
    role === 'owner' && 'INVALID_ROLE',
    target === undefined && 'MEMBER_UNKNOWN',
    stale && (version === 0 ? 'VERSION_MISSING' : 'VERSION_MISMATCH'),
    target?.role === 'owner' && 'OWNER_ROLE_FIXED',
  );
  return {
    says: `changeRole of ${user} (${target?.role}) to ${role}`,
    by,
    expect,
    run: async (client) => {
      const { member } = await client.changeRole({ user, role, version });
      org.setRole(user, role as 'admin' | 'member');
      assert.deepEqual([member!.role, member!.version], [role, target!.version]);
    },
  };
};

const removeMember: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const user = someUser(stage, org, dice.a);
  const expect = refusals(
    org.refusal(key, 'admin', ADMINS),
    org.member(user) === undefined && 'MEMBER_UNKNOWN',
    org.member(user)?.role === 'owner' && 'OWNER_CANNOT_BE_REMOVED',
    user === key.user && 'LEAVE_INSTEAD',
  );
  return {
    says: `removeMember ${user}`,
    by,
    expect,
    run: async (client) => {
      await client.removeMember({ user });
      org.part(user);
    },
  };
};

const leaveOrg: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const owns = org.owner.user === key.user;
  const expect = refusals(
    org.refusal(key, 'account', ALL),
    owns && !org.scopesOf(key).includes('admin') && 'SCOPE_MISSING',
    owns && org.heir === undefined && 'NO_ADMIN_TO_PROMOTE',
  );
  return {
    says: `leaveOrg ${key.user} (${org.member(key.user)?.role})`,
    by,
    expect,
    run: async (client) => {
      const { newOwner } = await client.leaveOrg({});
      assert.equal(newOwner, owns ? org.heir!.user : '');
      org.part(key.user);
      if (owns) org.setRole(newOwner, 'owner');
    },
  };
};

const transferOwnership: Operation = (stage, dice) => {
  const by = actor(stage, dice)!;
  const { org, key } = by;
  const user = someUser(stage, org, dice.a);
  const expect = refusals(
    org.refusal(key, 'admin', OWNER),
    org.member(user) === undefined && 'MEMBER_UNKNOWN',
  );
  return {
    says: `transferOwnership to ${user} (${org.member(user)?.role})`,
    by,
    expect,
    run: async (client) => {
      await client.transferOwnership({ user });
      if (user === key.user) return;
      org.setRole(key.user, 'admin');
      org.setRole(user, 'owner');
    },
  };
};

export const PEOPLE = {
  createOrg,
  invite,
  accept,
  revokeInvite,
  changeRole,
  removeMember,
  leaveOrg,
  transferOwnership,
} satisfies Record<string, Operation>;
