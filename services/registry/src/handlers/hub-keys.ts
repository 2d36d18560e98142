/** The key by which the hub of an org proves itself to its nodes. */

import { loadOrgKeys, type OrgSigning, signingOfOrg } from '@fleetwire/identity';
import { asFleetwireError, keepNewest } from '@fleetwire/kernel';

/** Undefined: this registry has no keys of orgs at all, so it proves nothing. */
export type HubKeys = (org: string) => Promise<OrgSigning | undefined>;

const KNOWN_MAX = 10_000;

/** Rejects failed_precondition KEYS_UNREADABLE rather than to seem a hub without keys. */
export function hubKeys(keysDir: string): HubKeys {
  const known = new Map<string, OrgSigning>();
  return async (org) => {
    const its = known.get(org) ?? (await read(keysDir, org));
    if (its !== undefined) known.set(org, its);
    keepNewest(known, KNOWN_MAX);
    return its;
  };
}

async function read(keysDir: string, org: string): Promise<OrgSigning | undefined> {
  try {
    return signingOfOrg(await loadOrgKeys(keysDir), org);
  } catch (error) {
    if (asFleetwireError(error).reason === 'KEYS_MISSING') return undefined;
    throw error;
  }
}
