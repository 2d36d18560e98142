/** Reads and writes orgs, memberships and users; the plain rows that handlers decide on. */

import type { Limits } from '@fleetwire/gen/access';
import type { FleetwireError } from '@fleetwire/kernel';
import type { StoreTransaction } from '@fleetwire/store';

type Query = StoreTransaction['query'];

/** A row of `orgs` as queries give it. */
export interface OrgRecord {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly plan: string;
  readonly limits: Partial<Limits> | null;
  readonly sso_enabled: boolean;
  readonly history: string;
  readonly message_events: string;
  readonly status: string;
  readonly deletion_step: string | null;
  readonly deletion: number;
  readonly deleted_at_ms: number | null;
  readonly version: number;
  readonly state_version: number;
  readonly created_at_ms: number;
  readonly billing_status: string;
  readonly subscription_id: string | null;
}

export interface MemberRecord {
  readonly user_id: string;
  readonly role: string;
  readonly invited_by: string | null;
  readonly joined_at_ms: number;
  readonly version: number;
  readonly email: string;
}

/** First key of the advisory locks; that of the migrations is another. */
const ORGS_LOCK = 0x66_78;

/** With `lock` the row stays locked until the transaction ends. */
export async function orgByIdOrSlug(
  query: Query,
  idOrSlug: string,
  lock: boolean,
): Promise<OrgRecord | undefined> {
  const rows = await query<OrgRecord>(
    `select * from orgs where id = $1 or slug = $1 ${lock ? 'for update' : ''}`,
    [idOrSlug],
  );
  return rows[0];
}

export async function membershipOf(
  query: Query,
  org: string,
  user: string,
): Promise<MemberRecord | undefined> {
  const rows = await query<MemberRecord>(
    `select m.user_id, m.role, m.invited_by, m.joined_at_ms, m.version, u.email
     from memberships m join users u on u.id = m.user_id where m.org = $1 and m.user_id = $2`,
    [org, user],
  );
  return rows[0];
}

/** Of the rows of a table; `from` is its name and a condition. */
export async function countOf(query: Query, from: string, params: readonly unknown[]): Promise<number> {
  const rows = await query<{ count: number }>(`select count(*) from ${from}`, params);
  return rows[0]!.count;
}

export function memberCount(query: Query, org: string): Promise<number> {
  return countOf(query, 'memberships where org = $1', [org]);
}

/** Of an invite; the moment is $2. */
export const OPEN_INVITE = 'accepted_at_ms is null and revoked_at_ms is null and expires_at_ms > $2';

export function openInvites(query: Query, org: string, nowMs: number): Promise<number> {
  return countOf(query, `invites where org = $1 and ${OPEN_INVITE}`, [org, nowMs]);
}

/**
 * A new org; false: one with this id is there, and is left alone. Breaks orgs_slug_unique when its slug is taken. Throws
 * `second`, if given, when there is another one, be it a deleted one, which could be restored.
 */
export async function insertOrg(
  query: Query,
  org: { readonly id: string; readonly slug: string; readonly name: string; readonly plan: string },
  nowMs: number,
  second: FleetwireError | undefined,
): Promise<boolean> {
  // Two first ones at once would not see each other.
  if (second !== undefined) await query('select pg_advisory_xact_lock($1, 1)', [ORGS_LOCK]);
  const inserted = await query(
    `insert into orgs (id, slug, name, plan, sso_enabled, history, message_events, status, deletion, version,
       state_version, created_at_ms, billing_status, billing_failures)
     values ($1, $2, $3, $4, false, 'full', 'off', 'active', 0, 1, 1, $5, 'none', 0) on conflict (id) do nothing returning id`,
    [org.id, org.slug, org.name, org.plan, nowMs],
  );
  if (inserted.length === 0) return false;
  if (second !== undefined && (await query('select 1 from orgs where id <> $1 limit 1', [org.id])).length > 0)
    throw second;
  return true;
}

/** Slugs change one after the other: two orgs that took each other's would wait for each other. */
export async function lockSlugs(query: Query): Promise<void> {
  await query('select pg_advisory_xact_lock($1, 0)', [ORGS_LOCK]);
}

/**
 * A person who was not here before. Never one that exists: an address proves nothing, since whoever invites sees the link
 * too, and so nobody gets another's id, name or orgs by giving their address.
 */
export async function newUser(
  query: Query,
  user: { readonly id: string; readonly email: string; readonly folded: string; readonly org: string },
  nowMs: number,
): Promise<string> {
  await query(
    'insert into users (id, email, email_folded, default_org, created_at_ms) values ($1, $2, $3, $4, $5)',
    [user.id, user.email, user.folded, user.org, nowMs],
  );
  return user.id;
}

/** Is somebody of that address in the org? */
export async function hasMember(query: Query, org: string, emailFolded: string): Promise<boolean> {
  const rows = await query(
    'select 1 from memberships m join users u on u.id = m.user_id where m.org = $1 and u.email_folded = $2',
    [org, emailFolded],
  );
  return rows.length > 0;
}

export async function addMember(
  query: Query,
  member: {
    readonly org: string;
    readonly user: string;
    readonly role: string;
    readonly invitedBy: string | null;
  },
  nowMs: number,
): Promise<void> {
  await query(
    `insert into memberships (org, user_id, role, invited_by, joined_at_ms, version) values ($1, $2, $3, $4, $5, 1)`,
    [member.org, member.user, member.role, member.invitedBy, nowMs],
  );
}

/** Seats and plan are to be compared with what is billed, soon. */
export async function billingDue(query: Query, org: string, nowMs: number): Promise<void> {
  await query('update orgs set billing_due_at_ms = $2 where id = $1', [org, nowMs]);
}
