/** CreateInvite, ListInvites, RevokeInvite. */

import type {
  CreateInviteRequest,
  CreateInviteResponse,
  Invite,
  ListInvitesRequest,
  ListInvitesResponse,
  RevokeInviteRequest,
  RevokeInviteResponse,
} from '@fleetwire/gen/org';
import { hashSecret } from '@fleetwire/identity';
import { FleetwireError, newId, textViolation } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { inviteStatus, newInviteSecret } from '../domain/invites.ts';
import { refuseOverLimit } from '../domain/plan-limits.ts';
import { checkGrantedRole } from '../domain/roles.ts';
import { checkEmail, foldEmail, refuseViolations, TEXT_LIMITS } from '../domain/texts.ts';
import { letter } from '../mail/letter.ts';
import { type InviteRow, Invite as InviteTable, Mail } from '../store/entities.ts';
import { hasMember, memberCount, membershipOf, OPEN_INVITE, openInvites } from '../store/orgs.ts';
import { alreadyMember } from './accept-invite.ts';
import { type Act, type Call, change, look } from './act.ts';
import { repeatedIn } from './once.ts';
import type { OrgParts } from './parts.ts';

export function createInvite(
  parts: OrgParts,
  request: CreateInviteRequest,
  call: Call,
): Promise<CreateInviteResponse> {
  const email = request.email === '' ? null : checkEmail(request.email);
  refuseViolations('INVALID_NOTE', [textViolation('note', request.note, TEXT_LIMITS.noteChars)]);
  return change(parts, 'createInvite', call, request.org, async (act) => {
    const role = checkGrantedRole(request.role === '' ? 'member' : request.role);
    const secret = newInviteSecret();
    const url = `${parts.publicUrl()}/invite/${secret}`;
    let id = newId('invite');
    const earlier = await repeatedIn(act, request, async () => {
      await refuseDoubles(parts, act, email);
      await insertInvite(parts, act, { id, secret, url, role, email, note: request.note });
      return id;
    });
    id = earlier ?? id;
    act.about(id, { role, email: email ?? '' });
    if (earlier === undefined) await act.tell('invite_created', id, { role });
    const invite = (await inviteRows(act, 'i.id = $2', [id]))[0]!;
    return {
      invite: shownInvite(invite, act.nowMs, parts.config.smtp_url !== undefined),
      url: earlier === undefined ? url : '',
    };
  });
}

interface NewInvite {
  readonly id: string;
  readonly secret: string;
  readonly url: string;
  readonly role: string;
  readonly email: string | null;
  readonly note: string;
}

/** At most one open invite for an address, so that nobody is invited twice by two admins at once. */
async function refuseDoubles(parts: OrgParts, act: Act, email: string | null): Promise<void> {
  const { query, org, nowMs } = act;
  if (email !== null) {
    if (await hasMember(query, org.id, foldEmail(email))) throw alreadyMember();
    const pending = await query<{ id: string }>(
      `select id from invites where org = $1 and ${OPEN_INVITE} and email_folded = $3`,
      [org.id, nowMs, foldEmail(email)],
    );
    if (pending[0] !== undefined) throw invitePending(pending[0].id);
    await refuseLetters(parts, act, foldEmail(email));
  }
  const open = await openInvites(query, org.id, nowMs);
  const { max_open_invites: max } = parts.config;
  if (open >= max) throw inviteLimit(max);
  const members = await memberCount(query, org.id);
  refuseOverLimit(org, members, 'members', members + open);
}

const DAY_MS = 24 * 3_600_000;
const LETTERS_TO_ONE = 3;

/** Invites that were taken back count too: their letters were sent. Throws resource_exhausted LETTER_LIMIT. */
async function refuseLetters(parts: OrgParts, act: Act, emailFolded: string): Promise<void> {
  const rows = await act.query<{ all: number; one: number }>(
    `select count(*) as all, count(*) filter (where email_folded = $3) as one from invites
     where org = $1 and created_at_ms > $2 and email is not null`,
    [act.org.id, act.nowMs - DAY_MS, emailFolded],
  );
  const { all, one } = rows[0]!;
  const { max_letters_per_day: max } = parts.config;
  if (all < max && one < LETTERS_TO_ONE) return;
  const said =
    all < max ? `this address was written to ${one} times` : `the org has sent ${all} invites by e-mail`;
  throw new FleetwireError('resource_exhausted', 'LETTER_LIMIT', `${said} within a day`, {
    help: 'Make an invite by link, without an address, and hand it over yourself; or wait.',
    retryAfterMs: DAY_MS / 24,
  });
}

async function insertInvite(parts: OrgParts, act: Act, invite: NewInvite): Promise<void> {
  const { org, nowMs } = act;
  const expiresAtMs = nowMs + parts.config.invite_ttl_s * 1000;
  await act.em.insert(InviteTable, {
    id: invite.id,
    org: org.id,
    email: invite.email,
    emailFolded: invite.email === null ? null : foldEmail(invite.email),
    role: invite.role,
    note: invite.note,
    tokenHash: hashSecret(invite.secret),
    invitedBy: act.actor,
    createdAtMs: nowMs,
    expiresAtMs,
  });
  if (invite.email === null) return;
  const inviterEmail = (await membershipOf(act.query, org.id, act.actor))!.email;
  const { subject, text, html } = letter({
    orgName: org.name,
    inviterEmail,
    role: invite.role,
    url: invite.url,
    expiresAtMs,
    note: invite.note,
  });
  await act.em.insert(Mail, {
    id: invite.id,
    org: org.id,
    recipient: invite.email,
    subject,
    body: JSON.stringify({ text, html }),
    state: 'waiting',
    attempts: 0,
    nextAtMs: nowMs,
    untilMs: expiresAtMs,
    error: '',
  });
}

export function listInvites(
  parts: OrgParts,
  request: ListInvitesRequest,
  call: Call,
): Promise<ListInvitesResponse> {
  const { size, after } = readPage(request);
  return look(parts, 'listInvites', call, request.org, async (act) => {
    const status = `case when i.accepted_at_ms is not null then 'accepted' when i.revoked_at_ms is not null then 'revoked'
      when i.expires_at_ms <= $2 then 'expired' else 'pending' end`;
    const rows = await inviteRows(act, `i.id > $3 and ($4 = '' or ${status} = $4) order by i.id limit $5`, [
      act.nowMs,
      after,
      request.status,
      size + 1,
    ]);
    const { shown, nextPageToken } = cutPage(rows, size, (row) => row.id);
    return {
      invites: shown.map((row) => shownInvite(row, act.nowMs, parts.config.smtp_url !== undefined)),
      nextPageToken,
    };
  });
}

export function revokeInvite(
  parts: OrgParts,
  request: RevokeInviteRequest,
  call: Call,
): Promise<RevokeInviteResponse> {
  return change(parts, 'revokeInvite', call, request.org, async (act) => {
    act.about(request.id);
    const invite = (await inviteRows(act, 'i.id = $2', [request.id]))[0];
    if (invite === undefined) throw inviteUnknown();
    if (invite.acceptedAtMs !== null)
      throw new FleetwireError('failed_precondition', 'INVITE_USED', 'this invite was used already', {
        help: 'Remove the member instead.',
      });
    if (invite.revokedAtMs !== null) return {};
    await act.query('update invites set revoked_at_ms = $2 where id = $1', [invite.id, act.nowMs]);
    await act.query(`update mails set state = 'failed', body = '' where id = $1 and state = 'waiting'`, [
      invite.id,
    ]);
    await act.tell('invite_revoked', invite.id);
    return {};
  });
}

type ShownRow = InviteRow & { readonly mail: string | null };

function inviteRows(act: Act, where: string, params: readonly unknown[]): Promise<ShownRow[]> {
  return act.query<ShownRow>(
    `select i.id, i.email, i.email_folded as "emailFolded", i.role, i.note, i.invited_by as "invitedBy",
       i.created_at_ms as "createdAtMs", i.expires_at_ms as "expiresAtMs", i.accepted_at_ms as "acceptedAtMs",
       i.accepted_by as "acceptedBy", i.revoked_at_ms as "revokedAtMs", m.state as mail
     from invites i left join mails m on m.id = i.id where i.org = $1 and ${where}`,
    [act.org.id, ...params],
  );
}

/** Without a mail server (`mails` false) what was to be sent is in the log. */
function shownInvite(row: ShownRow, nowMs: number, mails: boolean): Invite {
  return {
    id: row.id,
    email: row.email ?? '',
    role: row.role,
    invitedBy: row.invitedBy,
    createdAtMs: row.createdAtMs,
    expiresAtMs: row.expiresAtMs,
    status: inviteStatus(row, nowMs),
    acceptedBy: row.acceptedBy ?? '',
    mail: row.mail === 'sent' && !mails ? 'logged' : (row.mail ?? 'none'),
    note: row.note,
  };
}

function inviteUnknown(): FleetwireError {
  return new FleetwireError('not_found', 'INVITE_UNKNOWN', 'there is no such invite in your org', {
    help: 'List the invites; the id begins with i_.',
  });
}

function invitePending(id: string): FleetwireError {
  return new FleetwireError('already_exists', 'INVITE_PENDING', 'this address has an open invite', {
    help: `Revoke ${id} first, if its link was lost.`,
    details: { invite: id },
  });
}

function inviteLimit(max: number): FleetwireError {
  return new FleetwireError('resource_exhausted', 'INVITE_LIMIT', `the org has ${max} open invites`, {
    help: 'Revoke some, or wait until they are used.',
  });
}
