/** The claims of an org's account, as bootstrap and the registry give them to the servers. */

import type { Revocations } from './accounts.ts';
import { accountJwt, claimsIn, orgAccountClaims, revocationsIn, saysAlready } from './accounts.ts';
import type { OrgIssuer, OrgSigning } from './trust.ts';

/** An org whose account the servers are told of. */
export interface OrgAccount extends OrgSigning {
  readonly id: string;
}

/** In place of a user's key: every user of the account. */
const ALL_USERS = '*';

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

/** Until when the JWTs of all users are refused by what `held` says, Unix seconds; 0: no such revocation. */
export function allRevokedUntil(held: string | undefined): number {
  return (held && revocationsIn(held)[ALL_USERS]) || 0;
}

/**
 * The JWT that also refuses all users whose JWT was issued until `untilS` (Unix seconds, that one too), for servers that
 * hold `held`; revocations they know of stay. Undefined when theirs says so already.
 */
export async function revokingOrgAccountJwt(
  issuer: AccountIssuer,
  org: OrgAccount,
  held: string | undefined,
  untilS: number,
): Promise<string | undefined> {
  if (allRevokedUntil(held) >= untilS) return undefined;
  const known = held ? revocationsIn(held) : {};
  return orgAccountJwt(issuer, org, { ...known, [ALL_USERS]: untilS });
}

/** Apart from when they were issued. */
function sameClaims(jwt: string, held: string): boolean {
  return saysAlready(held, claimsIn(jwt)) && saysAlready(jwt, claimsIn(held));
}
