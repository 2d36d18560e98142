/** What a member leaves behind, by leaving or being removed: keys, tokens, invites, workspaces, seats, machines. */

import { addDeparture } from '../store/departures.ts';
import { endJoinTokens } from '../store/join-tokens.ts';
import { billingDue } from '../store/orgs.ts';
import type { Act } from './act.ts';
import { revokeTokens } from './revoke-tokens.ts';

/** Gives the number of workspaces that are suspended now. The caller has made sure that the org keeps an owner. */
export async function endMembership(act: Act, user: string): Promise<number> {
  const { query, org, nowMs } = act;
  await query('delete from memberships where org = $1 and user_id = $2', [org.id, user]);
  await addDeparture(query, org.id, user, nowMs);
  await query(
    'update api_keys set revoked_at_ms = $3 where org = $1 and user_id = $2 and revoked_at_ms is null',
    [org.id, user, nowMs],
  );
  await endJoinTokens(query, org.id, nowMs, { user });
  await revokeOpenInvites(act, user);
  await query(`delete from policies where org = $1 and level = 'user' and subject = $2`, [org.id, user]);
  const suspended = await query(
    `update workspaces set status_before = status, status = 'suspended', suspended_at_ms = $3, version = version + 1
     where org = $1 and user_id = $2 and deleted_at_ms is null and status <> 'suspended' returning id`,
    [org.id, user, nowMs],
  );
  await billingDue(query, org.id, nowMs);
  await revokeTokens(act, { kind: 'user', user });
  return suspended.length;
}

/** Nobody comes in by the word of somebody who may not invite any more. */
export async function revokeOpenInvites(act: Act, invitedBy: string): Promise<void> {
  const rows = await act.query<{ id: string }>(
    `update invites set revoked_at_ms = $3
     where org = $1 and invited_by = $2 and accepted_at_ms is null and revoked_at_ms is null returning id`,
    [act.org.id, invitedBy, act.nowMs],
  );
  await act.query(`update mails set state = 'failed', body = '' where id = any($1) and state = 'waiting'`, [
    rows.map(({ id }) => id),
  ]);
}
