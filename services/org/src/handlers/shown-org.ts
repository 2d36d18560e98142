/** An org as it is shown. */

import type { Org } from '@fleetwire/gen/org';
import type { StoreTransaction } from '@fleetwire/store';
import { memberCount, type OrgRecord, ownerEmail } from '../store/orgs.ts';

export async function shownOrg(query: StoreTransaction['query'], org: OrgRecord): Promise<Org> {
  return {
    id: org.id,
    slug: org.slug,
    name: org.name,
    ownerEmail: await ownerEmail(query, org.id),
    createdAtMs: org.created_at_ms,
    plan: org.plan,
    status: org.status,
    members: await memberCount(query, org.id),
    version: org.version,
    deletedAtMs: org.deleted_at_ms ?? 0,
    billingStatus: org.billing_status,
    settings: { ssoEnabled: org.sso_enabled },
  };
}
