/** The claims of accounts, as the servers hold them: asked for and given through the system account. */

import type { Broker } from '@fleetwire/broker';
import {
  type AccountIssuer,
  CLAIMS_LIST,
  CLAIMS_UPDATE,
  claimsLookup,
  type OrgAccount,
  renewedOrgAccountJwt,
} from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';

const REQUEST_MS = 5_000;

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

/** The JWT of an account that is held; for others nobody answers. */
export async function heldClaims(system: SystemAccount, account: string): Promise<string> {
  return new TextDecoder().decode(await system.request(claimsLookup(account), new Uint8Array(), REQUEST_MS));
}

/**
 * Sees to it that the servers hold what there is to say of an org; `held` are the accounts that they hold at all.
 * Revocations that they know of when asked stay; one that is added between the question and the answer is lost. Can be
 * done again, and by several at once. Rejects permission_denied ACCOUNT_REFUSED.
 */
export async function ensureOrgAccount(
  system: SystemAccount,
  issuer: AccountIssuer,
  org: OrgAccount,
  held: ReadonlySet<string>,
): Promise<void> {
  const claims = held.has(org.account) ? await heldClaims(system, org.account) : undefined;
  const jwt = await renewedOrgAccountJwt(issuer, org, claims);
  if (jwt !== undefined) await giveClaims(system, jwt, org.id);
}

/** `name` is for people. Rejects permission_denied ACCOUNT_REFUSED. */
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
