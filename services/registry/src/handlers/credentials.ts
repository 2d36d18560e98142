/** NATS credentials for nodes, signed with the key of their org, in an account that the servers hold. */

import {
  loadOrgKeys,
  mintNodeUser,
  type OrgIssuer,
  type OrgKeys,
  type OrgSigning,
  signingOfOrg,
} from '@fleetwire/identity';
import { type Clock, FleetwireError } from '@fleetwire/kernel';
import type { OrgAccounts } from '@fleetwire/runtime';
import { type MintCredentials, nowMs } from './parts.ts';

export interface MintingOptions {
  /** Undefined: a single-tenant server without accounts. */
  readonly keysDir: string | undefined;
  readonly accounts: Pick<OrgAccounts, 'ensure'>;
  readonly lifetimeMs: number;
  readonly clock: Clock;
}

/** Orgs whose keys are remembered. */
const KNOWN_MAX = 10_000;

interface KnownOrg {
  readonly signing: OrgSigning;
  /** Of an org without keys of its own, whose account only the registry tells the servers of. */
  readonly issuer: OrgIssuer | undefined;
}

/**
 * Keys are read again for an org that is not known yet: bootstrap may have added it, else its keys are derived.
 * Rejects failed_precondition ORG_KEYS_MISSING, unavailable ACCOUNT_NOT_READY.
 */
export function minting({ keysDir, accounts, lifetimeMs, clock }: MintingOptions): MintCredentials {
  if (keysDir === undefined) return async () => ({ jwt: '', expiresAtMs: 0 });
  const known = new Map<string, KnownOrg>();
  return async ({ id: node, org, publicKey, partition, shard }) => {
    const { signing, issuer } = known.get(org) ?? knownOrg(await loadOrgKeys(keysDir), org);
    known.set(org, { signing, issuer });
    if (known.size > KNOWN_MAX) known.delete(known.keys().next().value!);
    if (issuer !== undefined) await accounts.ensure(issuer, { id: org, ...signing });
    return mintNodeUser({ signing, org, node, publicKey, partition, shard, lifetimeMs, nowMs: nowMs(clock) });
  };
}

function knownOrg(keys: OrgKeys, org: string): KnownOrg {
  const signing = signingOfOrg(keys, org);
  if (signing !== undefined) return { signing, issuer: keys.own.has(org) ? undefined : keys.issuer };
  throw new FleetwireError(
    'failed_precondition',
    'ORG_KEYS_MISSING',
    `the keys folder has no keys of ${org}`,
    {
      help: 'Run bootstrap on the keys folder, and give the registry its org-signing.json.',
    },
  );
}
