/** Shutting the nodes of an org out of the broker: the servers refuse all credentials that they were given until now. */

import type { OrgAccess } from '@fleetwire/access';
import { loadOrgKeys, signingOfOrg } from '@fleetwire/identity';
import { asFleetwireError } from '@fleetwire/kernel';
import type { OrgAccounts, OrgDirectory } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import { isClosed } from '../domain/orgs.ts';

export interface RevokingOptions {
  /** Undefined: a single-tenant server without accounts. */
  readonly keysDir: string | undefined;
  readonly accounts: Pick<OrgAccounts, 'revokeAll' | 'mounted'>;
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

/**
 * Resolves when the servers hold the revocation, or, said once, when there is no way to tell them: then the credentials work
 * until they end. Rejects unavailable ACCOUNT_NOT_READY or REVOCATION_OVERWRITTEN.
 */
export function revoking(options: RevokingOptions): (org: string) => Promise<void> {
  const { keysDir, accounts, log } = options;
  let said = false;
  const cannot = (why: string): void => {
    if (!said)
      log.warn({ why }, 'nodes of deleted orgs keep their credentials for NATS until these have expired');
    said = true;
  };
  return async (org) => {
    if (keysDir === undefined) return cannot('the servers keep no accounts');
    if (!accounts.mounted) return cannot('nats/sys.creds of the keys folder is not mounted');
    const keys = await loadOrgKeys(keysDir);
    if (keys.issuer === undefined) return cannot('org-signing.json has no issuer: run bootstrap');
    const signing = signingOfOrg(keys, org)!;
    try {
      // By this machine's clock, which also says when credentials were issued.
      await accounts.revokeAll(keys.issuer, { id: org, ...signing }, Date.now());
    } catch (error) {
      if (asFleetwireError(error).reason !== 'NATS_WITHOUT_ACCOUNTS') throw error;
      cannot('the servers keep no accounts');
    }
  };
}
