/** The claims of accounts, as the servers hold them: asked for and given through the system account. */

import type { Broker } from '@fleetwire/broker';
import {
  type AccountIssuer,
  CLAIMS_LIST,
  CLAIMS_UPDATE,
  claimsLookup,
  type OrgAccount,
  type Revocations,
  renewedOrgAccountJwt,
  revocationsIn,
  revokingOrgAccountJwt,
} from '@fleetwire/identity';
import { asFleetwireError, FleetwireError, pause } from '@fleetwire/kernel';

const REQUEST_MS = 5_000;
/** How often a revocation is given again that somebody has overwritten, and how long after. */
const REVOKE_TRIES = 5;
const REVOKE_AGAIN_MS = 200;

/** A connection as `sys`. */
export type SystemAccount = Pick<Broker, 'request'>;

/** Public keys of the accounts that the servers hold. Rejects failed_precondition NATS_WITHOUT_ACCOUNTS. */
export async function heldAccounts(system: SystemAccount): Promise<ReadonlySet<string>> {
  const reply = await system.request(CLAIMS_LIST, new Uint8Array(), REQUEST_MS).catch((cause: unknown) => {
    if (asFleetwireError(cause).reason === 'NO_RESPONDERS') throw withoutAccounts(cause);
    throw cause;
  });
  return new Set((JSON.parse(new TextDecoder().decode(reply)) as { data?: string[] }).data);
}

/** The JWT of an account, if it is one of those that are held: for others nobody answers. */
export async function heldClaims(
  system: SystemAccount,
  held: ReadonlySet<string>,
  account: string,
): Promise<string | undefined> {
  if (!held.has(account)) return undefined;
  return new TextDecoder().decode(await system.request(claimsLookup(account), new Uint8Array(), REQUEST_MS));
}

/**
 * Sees to it that the servers hold what there is to say of an org; `held` are the accounts that they hold at all.
 * Revocations that they know of when asked stay, and those of `revoked` come to them; one that somebody else adds between
 * the question and the answer is lost. Can be done again, and by several at once. Gives what is revoked now.
 * Rejects permission_denied ACCOUNT_REFUSED.
 */
export async function ensureOrgAccount(
  system: SystemAccount,
  issuer: AccountIssuer,
  org: OrgAccount,
  held: ReadonlySet<string>,
  revoked: Revocations = {},
): Promise<Revocations> {
  const claims = await heldClaims(system, held, org.account);
  const jwt = await renewedOrgAccountJwt(issuer, org, claims, revoked);
  if (jwt !== undefined) await giveClaims(system, jwt, org.id);
  const said = jwt ?? claims;
  return said ? revocationsIn(said) : {};
}

/**
 * Resolves, with all that is revoked then, when the servers were seen to refuse each user of the org that `more` names, as
 * far as its JWT was issued until then (Unix seconds); they drop the connections of those. Whoever asked before and answers
 * after takes a revocation away, so it is looked for and given again. Rejects unavailable REVOCATION_OVERWRITTEN,
 * permission_denied ACCOUNT_REFUSED.
 */
export async function revokeUsers(
  system: SystemAccount,
  issuer: AccountIssuer,
  org: OrgAccount,
  more: Revocations,
): Promise<Revocations> {
  for (let tries = 0; tries <= REVOKE_TRIES; tries++) {
    if (tries > 1) await pause(REVOKE_AGAIN_MS);
    const held = await heldAccounts(system);
    const claims = await heldClaims(system, held, org.account);
    const jwt = await revokingOrgAccountJwt(issuer, org, claims, more);
    if (jwt === undefined) return claims ? revocationsIn(claims) : {};
    if (tries < REVOKE_TRIES) await giveClaims(system, jwt, org.id);
  }
  throw new FleetwireError(
    'unavailable',
    'REVOCATION_OVERWRITTEN',
    `the servers do not keep the revocation of the nodes of ${org.id}`,
    { help: 'It is tried again; look for another program that writes the accounts of this fabric.' },
  );
}

/** The first server that answers counts for all of a cluster. `name` is for people. Rejects permission_denied ACCOUNT_REFUSED. */
export async function giveClaims(system: SystemAccount, jwt: string, name: string): Promise<void> {
  const reply = await system.request(CLAIMS_UPDATE, new TextEncoder().encode(jwt), REQUEST_MS);
  const answer = JSON.parse(new TextDecoder().decode(reply)) as {
    data?: { code?: number };
    error?: { description?: string };
  };
  if (answer.data?.code === 200) return;
  const why = answer.error?.description ?? 'no reason given';
  throw new FleetwireError(
    'permission_denied',
    'ACCOUNT_REFUSED',
    `NATS refused the account ${name}: ${why}`,
    {
      help: 'Check that these servers run with the operator of this keys folder and the full resolver.',
    },
  );
}

/** A plain server takes any credentials and ignores them; it shows by nobody answering for accounts. */
function withoutAccounts(cause: unknown): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'NATS_WITHOUT_ACCOUNTS',
    'the NATS server keeps no accounts, so nothing there keeps orgs apart',
    {
      help:
        'Run it with the configuration that `fleetwire bootstrap` prints, or accept it for a single org with ' +
        'FLEETWIRE_NATS_SINGLE_TENANT=true.',
      cause,
    },
  );
}
