/** The claims of an org's account, as bootstrap gives them to the servers. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Revocations } from './accounts.ts';
import { accountJwt, orgAccountClaims, publicKeyOf } from './accounts.ts';
import type { Secrets } from './trust.ts';

/**
 * A JWT issued now. The servers keep the one with the later issue time, in whole seconds, so a change that must be
 * seen needs a second between two of them. Throws ORG_UNKNOWN.
 */
export async function orgAccountJwt(
  secrets: Secrets,
  orgId: string,
  revocations: Revocations = {},
): Promise<string> {
  const org = secrets.orgs.find(({ id }) => id === orgId);
  if (org === undefined)
    throw new FleetwireError('not_found', 'ORG_UNKNOWN', `no org ${orgId} in this keys folder`);
  const claims = orgAccountClaims(org, publicKeyOf(secrets.fabric.seed), revocations);
  return accountJwt(`ORG ${org.slug}`, org.keys, claims, secrets.operator);
}
