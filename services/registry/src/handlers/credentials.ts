/** NATS credentials for nodes, signed with the key of their org. */

import { loadOrgSigning, mintNodeUser, type OrgSigning } from '@fleetwire/identity';
import { type Clock, FleetwireError } from '@fleetwire/kernel';
import { type MintCredentials, nowMs } from './parts.ts';

export interface MintingOptions {
  /** Undefined: a single-tenant server without accounts. */
  readonly keysDir: string | undefined;
  readonly lifetimeMs: number;
  readonly clock: Clock;
}

/** Orgs that came later are found by reading the keys again. */
export function minting({ keysDir, lifetimeMs, clock }: MintingOptions): MintCredentials {
  if (keysDir === undefined) return async () => ({ jwt: '', expiresAtMs: 0 });
  let known: ReadonlyMap<string, OrgSigning> = new Map();
  return async ({ id: node, org, publicKey, partition, shard }) => {
    if (!known.has(org)) known = await loadOrgSigning(keysDir);
    const signing = known.get(org);
    if (signing === undefined)
      throw new FleetwireError(
        'failed_precondition',
        'ORG_KEYS_MISSING',
        `the keys folder has no keys of ${org}`,
        {
          help: 'Run bootstrap for this org, and give the registry its org-signing.json.',
        },
      );
    return mintNodeUser({ signing, org, node, publicKey, partition, shard, lifetimeMs, nowMs: nowMs(clock) });
  };
}
