/** The claims of an org's account, as bootstrap gives them to the servers. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Revocations } from './accounts.ts';
import {
  accountJwt,
  claimsIn,
  orgAccountClaims,
  publicKeyOf,
  revocationsIn,
  saysAlready,
} from './accounts.ts';
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

/**
 * The JWT to give to servers that hold `held` of this org ('' or undefined: nothing), or undefined when theirs says
 * all there is to say. Revocations they know of stay.
 */
export async function renewedOrgAccountJwt(
  secrets: Secrets,
  orgId: string,
  held: string | undefined,
): Promise<string | undefined> {
  const revocations = held ? revocationsIn(held) : {};
  const jwt = await orgAccountJwt(secrets, orgId, revocations);
  return held && sameClaims(jwt, held) ? undefined : jwt;
}

/** Apart from when they were issued. */
function sameClaims(jwt: string, held: string): boolean {
  return saysAlready(held, claimsIn(jwt)) && saysAlready(jwt, claimsIn(held));
}
