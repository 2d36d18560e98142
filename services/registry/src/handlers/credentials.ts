/** NATS credentials for nodes, signed with the key of their org, in an account that the servers hold. */

import {
  FOR_GOOD_S,
  loadOrgKeys,
  mintNodeUser,
  mintSubscriberUser,
  type OrgIssuer,
  type OrgKeys,
  type OrgSigning,
  signingOfOrg,
} from '@fleetwire/identity';
import { asFleetwireError, type Clock, FleetwireError, keepNewest, nowMs, pause } from '@fleetwire/kernel';
import type { OrgAccounts } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import { nodeRemoved } from '../domain/errors.ts';
import type { MintCredentials, MintSubscriber } from './parts.ts';

export interface MintingOptions {
  /** Undefined: a single-tenant server without accounts. */
  readonly keysDir: string | undefined;
  readonly accounts: Pick<OrgAccounts, 'ensure' | 'mounted' | 'revokedUntil'>;
  readonly lifetimeMs: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn'>;
}

/** A revocation counts in whole seconds: what is issued in the same one waits for the next. */
const WAIT_MAX_MS = 2_000;
/** Orgs whose keys are remembered. */
const KNOWN_MAX = 10_000;

interface KnownOrg {
  readonly signing: OrgSigning;
  /** Has keys of its own: bootstrap has told the servers of its account too. */
  readonly own: boolean;
  readonly issuer: OrgIssuer | undefined;
}

/** The key that signs for a user of the org who has this public key, and the moment at which a JWT may be issued now. */
export type Issuing = (o: {
  readonly org: string;
  readonly publicKey: string;
  /** Unix seconds until which its credentials do not work, beyond what the servers say. */
  readonly issuedAfterS?: number;
}) => Promise<{ readonly signing: OrgSigning; readonly nowMs: number }>;

/**
 * Keys are read again for an org that is not known yet: bootstrap may have added it, else its keys are derived.
 * The servers hold its account then; for an org that bootstrap knows it goes on when they cannot be asked. Undefined: a
 * single-tenant server. Rejects failed_precondition ORG_KEYS_MISSING or NODE_REMOVED, unavailable ACCOUNT_NOT_READY.
 */
export function issuing({
  keysDir,
  accounts,
  clock,
  log,
}: Omit<MintingOptions, 'lifetimeMs'>): Issuing | undefined {
  if (keysDir === undefined) return undefined;
  const known = new Map<string, KnownOrg>();
  const ensured = async (org: string, { signing, issuer, own }: KnownOrg): Promise<number> => {
    if (issuer === undefined || (own && !accounts.mounted)) return 0;
    try {
      return await accounts.ensure(issuer, { id: org, ...signing });
    } catch (error) {
      if (!own) throw error;
      log.warn(
        { err: asFleetwireError(error), org },
        'the servers were not asked whether they hold the account',
      );
      return 0;
    }
  };
  return async ({ org, publicKey, issuedAfterS = 0 }) => {
    const its = known.get(org) ?? knownOrg(await loadOrgKeys(keysDir), org);
    known.set(org, its);
    keepNewest(known, KNOWN_MAX);
    const allUntilS = await ensured(org, its);
    const untilS = Math.max(allUntilS, accounts.revokedUntil(org, publicKey), issuedAfterS);
    // The servers know better than a database that was restored.
    if (untilS >= FOR_GOOD_S) throw nodeRemoved();
    await issuedLaterThan(clock, org, untilS);
    return { signing: its.signing, nowMs: nowMs(clock) };
  };
}

/** Without accounts there are no credentials. Rejects as `issuing` does. */
export function minting(options: MintingOptions): MintCredentials {
  const issue = issuing(options);
  if (issue === undefined) return async () => ({ jwt: '', expiresAtMs: 0 });
  const { lifetimeMs } = options;
  return async ({ id: node, partition, shard, ...user }) =>
    mintNodeUser({ ...user, node, partition, shard, lifetimeMs, ...(await issue(user)) });
}

/** The same for a subscriber. */
export function mintingSubscribers(options: Omit<MintingOptions, 'lifetimeMs'>): MintSubscriber {
  const issue = issuing(options);
  if (issue === undefined) return async () => ({ jwt: '', expiresAtMs: 0 });
  return async (user) => mintSubscriberUser({ ...user, ...(await issue(user)) });
}

/** By the broker's clock, which says when a JWT was issued. Rejects unavailable ACCOUNT_NOT_READY. */
async function issuedLaterThan(clock: Clock, org: string, revokedUntilS: number): Promise<void> {
  const earliestMs = (revokedUntilS + 1) * 1000;
  const waitMs = earliestMs - nowMs(clock);
  if (waitMs <= 0) return;
  if (waitMs > WAIT_MAX_MS) {
    const message = `what is issued now to nodes of ${org} is revoked already`;
    throw new FleetwireError('unavailable', 'ACCOUNT_NOT_READY', message, {
      help: 'Try again; if it stays so, look whether the broker was set back in time.',
      retryAfterMs: Math.min(waitMs, 60_000),
    });
  }
  // A timer may end a moment early by this clock, and what is issued within that second is refused for good.
  while (nowMs(clock) < earliestMs) await pause(earliestMs - nowMs(clock) + 1);
}

function knownOrg(keys: OrgKeys, org: string): KnownOrg {
  const signing = signingOfOrg(keys, org);
  if (signing !== undefined) return { signing, own: keys.own.has(org), issuer: keys.issuer };
  throw new FleetwireError(
    'failed_precondition',
    'ORG_KEYS_MISSING',
    `the keys folder has no keys of ${org}`,
    {
      help: 'Run bootstrap on the keys folder, and give the registry its org-signing.json.',
    },
  );
}
