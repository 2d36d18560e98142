/** The claims of an org's account, as bootstrap and the registry give them to the servers. */

import type { Revocations } from './accounts.ts';
import { accountJwt, claimsIn, orgAccountClaims, revocationsIn, saysAlready } from './accounts.ts';
import type { OrgIssuer, OrgSigning } from './trust.ts';

/** An org whose account the servers are told of. */
export interface OrgAccount extends OrgSigning {
  readonly id: string;
}

/** In place of a user's key: every user of the account. */
export const ALL_USERS = '*';

/**
 * A key that is revoked until then or later is never to be signed for again: no user JWT is issued that late. What lies
 * above tells when it was revoked, so that the oldest go first where there are too many.
 */
export const FOR_GOOD_S = 4_000_000_000;

/** Unix seconds that stand for: whatever is issued to this key is refused, since `nowS`. */
export const revokedForGood = (nowS: number): number => FOR_GOOD_S + nowS;

/** When that was, also of one that ends: it is revoked for what was issued until it was. */
const revokedAtS = (untilS: number): number => (untilS < FOR_GOOD_S ? untilS : untilS - FOR_GOOD_S);

/** Keys that the claims of one account name at most: the servers must take them in one message. */
export const REVOCATIONS_MAX = 5_000;

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
 * all there is to say. Revocations they know of stay, and `more` come to them.
 */
export async function renewedOrgAccountJwt(
  issuer: AccountIssuer,
  org: OrgAccount,
  held: string | undefined,
  more: Revocations = {},
): Promise<string | undefined> {
  const jwt = await orgAccountJwt(issuer, org, joined(held, more));
  return held && sameClaims(jwt, held) ? undefined : jwt;
}

/**
 * The JWT that also refuses each user in `more` (its key, or `ALL_USERS`) whose JWT was issued until then (Unix seconds, that
 * one too), for servers that hold `held`; revocations they know of stay. Undefined when theirs says so already.
 */
export async function revokingOrgAccountJwt(
  issuer: AccountIssuer,
  org: OrgAccount,
  held: string | undefined,
  more: Revocations,
): Promise<string | undefined> {
  const known = held ? revocationsIn(held) : {};
  const wanted = joined(held, more);
  if (held && Object.entries(wanted).every(([key, untilS]) => (known[key] ?? 0) >= untilS)) return undefined;
  return orgAccountJwt(issuer, org, wanted);
}

/** Of each key the later one; of too many the oldest go. Always in the same order, so that claims can be compared. */
function joined(held: string | undefined, more: Revocations): Revocations {
  const all: Record<string, number> = { ...(held ? revocationsIn(held) : {}) };
  for (const [key, untilS] of Object.entries(more)) all[key] = Math.max(untilS, all[key] ?? 0);
  const keys = Object.keys(all).filter((key) => key !== ALL_USERS);
  if (keys.length <= REVOCATIONS_MAX) return all;
  const oldest = keys
    .sort((a, b) => revokedAtS(all[a]!) - revokedAtS(all[b]!))
    .slice(0, keys.length - REVOCATIONS_MAX);
  for (const key of oldest) delete all[key];
  return all;
}

/** Apart from when they were issued. */
function sameClaims(jwt: string, held: string): boolean {
  return saysAlready(held, claimsIn(jwt)) && saysAlready(jwt, claimsIn(held));
}
