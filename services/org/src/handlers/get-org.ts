/** GetOrg: the org of the caller's token. */

import type { GetOrgResponse } from '@fleetwire/gen/org';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { OrgParts } from './parts.ts';

export async function getOrg(parts: OrgParts, caller: Caller): Promise<GetOrgResponse> {
  const org = await parts.keys.org(caller.org);
  if (org === null) throw new FleetwireError('not_found', 'ORG_UNKNOWN', 'there is no such org');
  const { id, slug, name, ownerEmail, createdAtMs } = org;
  return { org: { id, slug, name, ownerEmail, createdAtMs } };
}
