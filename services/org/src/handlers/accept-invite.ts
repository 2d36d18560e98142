/** LookInvite, AcceptInvite: what holds the secret of an invite needs nothing else. */

import type {
  AcceptInviteRequest,
  AcceptInviteResponse,
  LookInviteRequest,
  LookInviteResponse,
} from '@fleetwire/gen/org';
import { hashSecret, newApiKey } from '@fleetwire/identity';
import { FleetwireError, newId } from '@fleetwire/kernel';
import type { StoreTransaction } from '@fleetwire/store';
import { checkInviteSecret, emailRefusal, inviteInvalid, inviteRefusal } from '../domain/invites.ts';
import { PERMISSIONS } from '../domain/permissions.ts';
import { refuseOverLimit } from '../domain/plan-limits.ts';
import { checkEmail, foldEmail } from '../domain/texts.ts';
import { ApiKey } from '../store/access-entities.ts';
import { Invite, type InviteRow } from '../store/entities.ts';
import {
  addMember,
  billingDue,
  hasMember,
  memberCount,
  newUser,
  type OrgRecord,
  orgByIdOrSlug,
} from '../store/orgs.ts';
import { tellChange, writeAudit } from '../store/records.ts';
import { firstKey } from './first-key.ts';
import { nowMs, type OrgParts } from './parts.ts';

export function lookInvite(parts: OrgParts, request: LookInviteRequest): Promise<LookInviteResponse> {
  checkInviteSecret(request.secret);
  return parts.store.transaction(async (tx) => {
    const { invite, org } = await openInvite(parts, tx, request.secret, false);
    return {
      orgName: org.name,
      orgSlug: org.slug,
      role: invite.role,
      forOneAddress: invite.email !== null,
      expiresAtMs: invite.expiresAtMs,
      note: invite.note,
    };
  });
}

/** Once: of two people with one link, one comes in. The caller of a try that fails learns why. */
export async function acceptInvite(
  parts: OrgParts,
  request: AcceptInviteRequest,
  from: { readonly peer: string; readonly traceparent: string },
): Promise<AcceptInviteResponse> {
  checkInviteSecret(request.secret);
  const email = checkEmail(request.email);
  const seen = { org: '', invite: '' };
  try {
    const answer = await parts.store.transaction((tx) =>
      accept(parts, tx, request.secret, email, from, seen),
    );
    parts.committed();
    return answer;
  } catch (error) {
    if (error instanceof FleetwireError && seen.org !== '' && REFUSALS.has(error.reason))
      await parts.denials.write({
        org: seen.org,
        atMs: nowMs(parts.clock),
        actorKind: 'invitee',
        // Not the address, of which there are any number: refusals are bounded by the actor.
        actor: 'invitee',
        action: PERMISSIONS.acceptInvite.action,
        target: seen.invite,
        decision: 'denied',
        reason: error.reason,
        peer: from.peer,
        details: { email: foldEmail(email) },
      });
    throw error;
  }
}

/** Tries that an admin will want to know of. */
const REFUSALS = new Set([
  'INVITE_USED',
  'INVITE_REVOKED',
  'INVITE_EXPIRED',
  'INVITE_OTHER_EMAIL',
  'PLAN_LIMIT',
]);

async function accept(
  parts: OrgParts,
  tx: StoreTransaction,
  secret: string,
  email: string,
  from: { readonly peer: string; readonly traceparent: string },
  seen: { org: string; invite: string },
): Promise<AcceptInviteResponse> {
  const { query } = tx;
  const { invite, org } = await openInvite(parts, tx, secret, true, seen);
  const at = nowMs(parts.clock);
  const refused = emailRefusal(invite, email);
  if (refused) throw refused;
  const members = await memberCount(query, org.id);
  refuseOverLimit(org, members, 'members', members);
  const folded = foldEmail(email);
  if (await hasMember(query, org.id, folded)) throw alreadyMember();
  const user = await newUser(query, { id: newId('user'), email, folded, org: org.id }, at);
  await addMember(query, { org: org.id, user, role: invite.role, invitedBy: invite.invitedBy }, at);
  await query('update invites set accepted_at_ms = $2, accepted_by = $3 where id = $1', [
    invite.id,
    at,
    user,
  ]);
  const apiKey = newApiKey();
  await tx.em.insert(ApiKey, firstKey(org.id, user, apiKey, at));
  await billingDue(query, org.id, at);
  const said = { org: org.id, actor: user, target: invite.id, atMs: at };
  const details = { role: invite.role, email };
  await tellChange(query, {
    ...said,
    target: user,
    name: 'member_joined',
    details: { role: invite.role, invite: invite.id },
    traceparent: from.traceparent,
  });
  const { action } = PERMISSIONS.acceptInvite;
  await writeAudit(query, {
    ...said,
    actorKind: 'user',
    action,
    decision: 'allowed',
    peer: from.peer,
    details,
  });
  return { org: org.id, orgSlug: org.slug, orgName: org.name, user, role: invite.role, apiKey };
}

/** With `lock` both rows are locked, the org's first, as everywhere. Throws INVITE_*. */
async function openInvite(
  parts: OrgParts,
  { em, query }: StoreTransaction,
  secret: string,
  lock: boolean,
  seen?: { org: string; invite: string },
): Promise<{ readonly invite: InviteRow; readonly org: OrgRecord }> {
  const tokenHash = hashSecret(secret);
  const found = await em.findOne(Invite, { tokenHash });
  if (found === null) throw inviteInvalid();
  const org = await orgByIdOrSlug(query, found.org, lock);
  // A deleted org's invites look like none.
  if (org === undefined || org.status !== 'active') throw inviteInvalid();
  if (seen !== undefined) Object.assign(seen, { org: org.id, invite: found.id });
  const invite = lock ? await em.findOneOrFail(Invite, { tokenHash }, { refresh: true }) : found;
  const refused = inviteRefusal(invite, nowMs(parts.clock));
  if (refused) throw refused;
  return { invite, org };
}

export function alreadyMember(): FleetwireError {
  return new FleetwireError(
    'already_exists',
    'ALREADY_MEMBER',
    'this address is a member of the org already',
    {
      help: 'They can use their own API key; list the members to see who is in.',
    },
  );
}
