/** The claims of an org's account, as bootstrap and the registry give them to the servers. */

import type { Revocations } from './accounts.ts';
import { accountJwt, claimsIn, orgAccountClaims, revocationsIn, saysAlready } from './accounts.ts';
import type { OrgIssuer, OrgSigning } from './trust.ts';

/** An org whose account the servers are told of. */
export interface OrgAccount extends OrgSigning {
  readonly id: string;
}

/** Signs for accounts. */
export type AccountIssuer = Pick<OrgIssuer, 'operatorSigningSeed' | 'fabricAccount'>;

/**
 * A JWT issued now. What a server is given last is what it holds, were it issued before what it held (nats-server 2.9):
 * who adds a revocation has to look afterwards whether it is still there, since somebody may have looked before it.
 */
export function orgAccountJwt(
  issuer: AccountIssuer,
  org: OrgAccount,
  revocations: Revocations = {},
): Promise<string> {
  const claims = orgAccountClaims(org, issuer.fabricAccount, revocations);
  return accountJwt(`ORG ${org.id}`, org.account, claims, issuer.operatorSigningSeed);
}

/**
 * The JWT to give to servers that hold `held` of this org ('' or undefined: nothing), or undefined when theirs says
 * all there is to say. Revocations they know of stay.
 */
export async function renewedOrgAccountJwt(
  issuer: AccountIssuer,
  org: OrgAccount,
  held: string | undefined,
): Promise<string | undefined> {
  const revocations = held ? revocationsIn(held) : {};
  const jwt = await orgAccountJwt(issuer, org, revocations);
  return held && sameClaims(jwt, held) ? undefined : jwt;
}

/** Apart from when they were issued. */
function sameClaims(jwt: string, held: string): boolean {
  return saysAlready(held, claimsIn(jwt)) && saysAlready(jwt, claimsIn(held));
}
