/** ListMembers, ChangeRole, RemoveMember, LeaveOrg. */

import type {
  ChangeRoleRequest,
  ChangeRoleResponse,
  LeaveOrgRequest,
  LeaveOrgResponse,
  ListMembersRequest,
  ListMembersResponse,
  Member,
  RemoveMemberRequest,
  RemoveMemberResponse,
} from '@fleetwire/gen/org';
import { FleetwireError } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import {
  checkGrantedRole,
  removalRefusal,
  roleChangeRefusal,
  type Standing,
  successor,
} from '../domain/roles.ts';
import { scopeMissing } from '../domain/scopes.ts';
import { type MemberRecord, membershipOf } from '../store/orgs.ts';
import { type Act, type Call, change, look } from './act.ts';
import { endMembership, revokeOpenInvites } from './end-membership.ts';
import type { OrgParts } from './parts.ts';
import { revokeTokens } from './revoke-tokens.ts';
import { checkVersion } from './versions.ts';

export function listMembers(
  parts: OrgParts,
  request: ListMembersRequest,
  call: Call,
): Promise<ListMembersResponse> {
  const { size, after } = readPage(request);
  return look(parts, 'listMembers', call, request.org, async ({ query, org }) => {
    const rows = await query<MemberRecord>(
      `select m.user_id, m.role, m.invited_by, m.joined_at_ms, m.version, u.email
       from memberships m join users u on u.id = m.user_id
       where m.org = $1 and m.user_id > $2 and ($3 = '' or m.role = $3) and ($4 = '' or position($4 in u.email_folded) > 0)
       order by m.user_id limit $5`,
      [org.id, after, request.role, request.emailContains.toLowerCase(), size + 1],
    );
    const { shown, nextPageToken } = cutPage(rows, size, (row) => row.user_id);
    return { members: shown.map(shownMember), nextPageToken };
  });
}

/** Admins who become members lose what they could do at once: their tokens, and the invites that they have given. */
export function changeRole(
  parts: OrgParts,
  request: ChangeRoleRequest,
  call: Call,
): Promise<ChangeRoleResponse> {
  return change(parts, 'changeRole', call, request.org, async (act) => {
    const { query, org } = act;
    act.about(request.user, { role: request.role });
    const role = checkGrantedRole(request.role);
    const target = await knownMember(act, request.user);
    checkVersion(request.version, target.version);
    const refused = roleChangeRefusal(standing(target));
    if (refused) throw refused;
    await query('update memberships set role = $3, version = version + 1 where org = $1 and user_id = $2', [
      org.id,
      request.user,
      role,
    ]);
    if (target.role === 'admin' && role === 'member') {
      await revokeOpenInvites(act, request.user);
      await revokeTokens(act, { kind: 'user', user: request.user });
    }
    await act.tell('member_role_changed', request.user, { role });
    return { member: shownMember((await membershipOf(query, org.id, request.user))!) };
  });
}

export function removeMember(
  parts: OrgParts,
  request: RemoveMemberRequest,
  call: Call,
): Promise<RemoveMemberResponse> {
  return change(parts, 'removeMember', call, request.org, async (act) => {
    act.about(request.user);
    const target = await knownMember(act, request.user);
    const refused = removalRefusal(standing(target), act.actor);
    if (refused) throw refused;
    const suspended = await endMembership(act, request.user);
    await act.tell('member_removed', request.user);
    return { workspacesSuspended: suspended };
  });
}

export function leaveOrg(parts: OrgParts, request: LeaveOrgRequest, call: Call): Promise<LeaveOrgResponse> {
  return change(parts, 'leaveOrg', call, request.org, async (act) => {
    const { query, org, actor } = act;
    const rows = await query<Standing>(
      'select user_id as "userId", role, joined_at_ms as "joinedAtMs" from memberships where org = $1',
      [org.id],
    );
    const own = rows.find((row) => row.userId === actor)!;
    // It hands the org over.
    if (own.role === 'owner' && !act.caller.scopes.includes('admin'))
      throw scopeMissing('admin', act.caller.scopes);
    const others = rows.filter((row) => row.userId !== actor);
    const heir = successor(own, others);
    act.about(actor, heir === undefined ? {} : { new_owner: heir.userId });
    const suspended = await endMembership(act, actor);
    if (heir !== undefined) {
      await query(
        `update memberships set role = 'owner', version = version + 1 where org = $1 and user_id = $2`,
        [org.id, heir.userId],
      );
      await act.tell('ownership_transferred', heir.userId, { from: actor });
    }
    await act.tell('member_left', actor);
    return { workspacesSuspended: suspended, newOwner: heir?.userId ?? '' };
  });
}

const standing = (row: MemberRecord): Standing => ({
  userId: row.user_id,
  role: row.role,
  joinedAtMs: row.joined_at_ms,
});

/** Throws MEMBER_UNKNOWN, also for users of other orgs, who look like unknown ones. */
export async function knownMember({ query, org }: Act, user: string): Promise<MemberRecord> {
  const member = await membershipOf(query, org.id, user);
  if (member !== undefined) return member;
  throw new FleetwireError('not_found', 'MEMBER_UNKNOWN', 'there is no such member in your org', {
    help: 'List the members; the id begins with u_.',
  });
}

function shownMember(row: MemberRecord): Member {
  return {
    user: row.user_id,
    email: row.email,
    role: row.role,
    invitedBy: row.invited_by ?? '',
    joinedAtMs: row.joined_at_ms,
    version: row.version,
  };
}
