/** DeleteOrg begins a deletion, ConfirmCleared says that the registry has done its part, RestoreOrg undoes it. */

import type {
  ConfirmClearedRequest,
  ConfirmClearedResponse,
  DeleteOrgRequest,
  DeleteOrgResponse,
  RestoreOrgRequest,
  RestoreOrgResponse,
} from '@fleetwire/gen/org';
import { FleetwireError } from '@fleetwire/kernel';
import { DELETION_STEPS, restoreRefusal, stepAfter } from '../domain/deletion.ts';
import { PERMISSIONS } from '../domain/permissions.ts';
import { billingDue } from '../store/orgs.ts';
import { writeAudit } from '../store/records.ts';
import { admitted, type Call, change } from './act.ts';
import { nowMs, type OrgParts } from './parts.ts';
import { revokeTokens } from './revoke-tokens.ts';
import { shownOrg } from './shown-org.ts';

/** From here on its tokens are refused everywhere; the rest goes on by itself, see upkeep/deletion.ts. */
export function deleteOrg(
  parts: OrgParts,
  request: DeleteOrgRequest,
  call: Call,
): Promise<DeleteOrgResponse> {
  return change(parts, 'deleteOrg', call, request.org, async (act) => {
    const { query, org } = act;
    act.about(org.id);
    if (request.confirmSlug !== org.slug)
      throw new FleetwireError('invalid_argument', 'CONFIRM_SLUG', 'the slug given does not name this org', {
        help: `Repeat its slug, ${org.slug}, to confirm.`,
        violations: [{ field: 'confirm_slug', description: "must be the org's slug" }],
      });
    await query(
      `update orgs set status = 'deleting', deletion_step = $2, deletion = deletion + 1, version = version + 1,
       billing_due_at_ms = null where id = $1`,
      [org.id, DELETION_STEPS[0]],
    );
    // A restored org begins with new tokens.
    await revokeTokens(act, { kind: 'org' });
    await act.tell('org_deletion_started', org.id);
    return { org: await shownOrg(query, org.id) };
  });
}

/** Idempotent; a confirmation of an earlier deletion changes nothing. */
export async function confirmCleared(
  parts: OrgParts,
  request: ConfirmClearedRequest,
  call: Call,
): Promise<ConfirmClearedResponse> {
  const { subject } = await admitted(parts, 'confirmCleared', call);
  await parts.store.transaction(async ({ query }) => {
    const cleared = await query(
      `update orgs set deletion_step = $3
       where id = $1 and deletion = $2 and status = 'deleting' and deletion_step = 'clear_agents' returning id`,
      [request.org, request.deletion, stepAfter('clear_agents')],
    );
    if (cleared.length === 0) return;
    await writeAudit(query, {
      org: request.org,
      atMs: nowMs(parts.clock),
      actorKind: 'service',
      actor: subject,
      action: PERMISSIONS.confirmCleared.action,
      target: request.org,
      decision: 'allowed',
      peer: call.peer,
    });
  });
  parts.committed();
  return {};
}

/** People, workspaces and keys are back as they were; agents and nodes register anew. */
export function restoreOrg(
  parts: OrgParts,
  request: RestoreOrgRequest,
  call: Call,
): Promise<RestoreOrgResponse> {
  return change(parts, 'restoreOrg', call, request.org, async (act) => {
    const { query, org } = act;
    act.about(org.id);
    const refused = restoreRefusal(org, act.nowMs);
    if (refused) throw refused;
    await query(
      `insert into memberships (org, user_id, role, invited_by, joined_at_ms, version)
       select org, user_id, role, invited_by, joined_at_ms, 1 from former_memberships where org = $1
       on conflict do nothing`,
      [org.id],
    );
    await query('delete from former_memberships where org = $1', [org.id]);
    // What was suspended before the deletion, because its member had left, stays suspended.
    await query(
      `update workspaces set deleted_at_ms = null, deletion = null,
         status = case when suspended_at_ms is null then coalesce(status_before, status) else status end,
         status_before = case when suspended_at_ms is null then null else status_before end, version = version + 1
       where org = $1 and deletion = $2`,
      [org.id, org.deletion],
    );
    await query(
      `update orgs set status = 'active', deletion_step = null, deleted_at_ms = null, version = version + 1
       where id = $1`,
      [org.id],
    );
    await billingDue(query, org.id, act.nowMs);
    await act.tell('org_restored', org.id);
    return { org: await shownOrg(query, org.id) };
  });
}
