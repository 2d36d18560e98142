/** Orgs as they are shown, with what is counted and looked up for it. */

import type { Org } from '@fleetwire/gen/org';
import type { StoreTransaction } from '@fleetwire/store';
import type { OrgRecord } from '../store/orgs.ts';

type Query = StoreTransaction['query'];
type Row = OrgRecord & { readonly members: number; readonly owner_email: string };

/** `which` is the rest of the statement, from its where on; the org is `o` there. */
export async function shownOrgs(query: Query, which: string, params: readonly unknown[]): Promise<Org[]> {
  const rows = await query<Row>(
    `select o.*, (select count(*) from memberships m where m.org = o.id) as members,
       coalesce((select u.email from memberships m join users u on u.id = m.user_id
         where m.org = o.id and m.role = 'owner'), '') as owner_email
     from orgs o ${which}`,
    params,
  );
  return rows.map(shown);
}

/** The org must be there. */
export async function shownOrg(query: Query, id: string): Promise<Org> {
  return (await shownOrgs(query, 'where o.id = $1', [id]))[0]!;
}

function shown(org: Row): Org {
  return {
    id: org.id,
    slug: org.slug,
    name: org.name,
    ownerEmail: org.owner_email,
    createdAtMs: org.created_at_ms,
    plan: org.plan,
    status: org.status,
    members: org.members,
    version: org.version,
    deletedAtMs: org.deleted_at_ms ?? 0,
    billingStatus: org.billing_status,
    settings: { ssoEnabled: org.sso_enabled, history: org.history, messageEvents: org.message_events },
  };
}
