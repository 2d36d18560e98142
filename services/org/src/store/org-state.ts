/** What other services are told of an org, read in one transaction. */

import type { OrgState } from '@fleetwire/gen/access';
import type { StoreTransaction } from '@fleetwire/store';
import { limitsInForce } from '../domain/plan-limits.ts';
import { departuresOf } from './departures.ts';
import { memberCount, type OrgRecord } from './orgs.ts';
import { enabledPolicies } from './policies.ts';
import { assignmentsOf } from './workspaces.ts';

/** The row is locked against changes meanwhile, so that version and content belong together. Undefined: unknown org. */
export async function orgState(
  query: StoreTransaction['query'],
  id: string,
  nowMs: number,
): Promise<OrgState | undefined> {
  const [org] = await query<OrgRecord>('select * from orgs where id = $1 for share', [id]);
  if (org === undefined) return undefined;
  const open = org.status === 'active';
  const revocations = await query<{ kind: string; subject: string; issued_until_ms: number }>(
    'select kind, subject, issued_until_ms from revocations where org = $1 and until_ms > $2 order by kind, subject',
    [id, nowMs],
  );
  const assignments = open ? await assignmentsOf(query, id) : [];
  return {
    org: id,
    version: org.state_version,
    status: org.status,
    slug: org.slug,
    plan: org.plan,
    // The steps of a deletion take members away without a word: what is said of a closed org must not depend on them.
    limits: limitsInForce(org, open ? await memberCount(query, id) : 0),
    policies: open ? await enabledPolicies(query, id) : [],
    revocations: revocations.map(({ kind, subject, issued_until_ms }) => ({
      kind,
      subject,
      issuedUntilMs: issued_until_ms,
    })),
    assignments: assignments.map((row) => ({
      agent: row.agent,
      workspace: row.workspace,
      repo: row.repo ?? '',
      user: row.user_id,
      suspended: row.status === 'suspended',
    })),
    departed: await departuresOf(query, id),
    deletion: org.deletion,
    history: org.history,
    messageEvents: org.message_events,
    // To the end, since the registry's word changes no version.
    clearing: org.status === 'deleting' && org.deletion_step !== 'cancel_subscription',
  };
}
