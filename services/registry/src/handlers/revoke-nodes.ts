/** Shutting nodes out of the broker, all of an org or those with certain keys: the servers refuse what they were given. */

import type { OrgAccess } from '@fleetwire/access';
import { loadOrgKeys, type Revocations, signingOfOrg } from '@fleetwire/identity';
import { asFleetwireError, type Clock, nowMs } from '@fleetwire/kernel';
import type { OrgAccounts, OrgDirectory } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import { isClosed } from '../domain/orgs.ts';

export interface RevokingOptions {
  /** Undefined: a single-tenant server without accounts. */
  readonly keysDir: string | undefined;
  readonly accounts: Pick<OrgAccounts, 'revokeAll' | 'revoke' | 'mounted'>;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
}

/**
 * When an org is open again, what is known of its account is asked for anew: another replica may have revoked its nodes, and
 * what is issued to its new ones has to be later than that. Gives what ends it.
 */
export function forgetReopened(
  orgs: Pick<OrgDirectory, 'onChange'>,
  accounts: Pick<OrgAccounts, 'forget'>,
): () => void {
  const closed = new Set<string>();
  return orgs.onChange((access: OrgAccess) => {
    const { org } = access.state;
    if (isClosed(access)) closed.add(org);
    else if (closed.delete(org)) accounts.forget(org);
  });
}

/** Without `keys`: all credentials issued to nodes of the org until now. Can be repeated. */
export type RevokeNodes = (org: string, keys?: Revocations) => Promise<boolean>;

/**
 * Resolves when the servers hold the revocation (true also where they keep no accounts on purpose), or with false, said once,
 * when there is no way to tell them: then the credentials work until they end. Rejects unavailable ACCOUNT_NOT_READY or
 * REVOCATION_OVERWRITTEN.
 */
export function revoking(options: RevokingOptions): RevokeNodes {
  const { keysDir, accounts, clock, log } = options;
  let said = false;
  const cannot = (why: string): boolean => {
    if (!said)
      log.warn({ why }, 'nodes that are shut out keep their credentials for NATS until these have expired');
    said = true;
    return false;
  };
  return async (org, keys) => {
    if (keysDir === undefined) return !cannot('the servers keep no accounts');
    if (!accounts.mounted) return cannot('nats/sys.creds of the keys folder is not mounted');
    const { issuer, own } = await loadOrgKeys(keysDir);
    if (issuer === undefined) return cannot('org-signing.json has no issuer: run bootstrap');
    const account = { id: org, ...signingOfOrg({ issuer, own }, org)! };
    try {
      // By the broker's clock, which also says when credentials were issued.
      if (keys === undefined) await accounts.revokeAll(issuer, account, nowMs(clock));
      else await accounts.revoke(issuer, account, keys);
      return true;
    } catch (error) {
      if (asFleetwireError(error).reason !== 'NATS_WITHOUT_ACCOUNTS') throw error;
      return cannot('the servers keep no accounts');
    }
  };
}
