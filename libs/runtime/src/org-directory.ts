/** What this process knows of the orgs: the bucket fw-orgs, followed and compiled, and the tokens that it refuses. */

import { compileOrg, type OrgAccess } from '@fleetwire/access';
import type { Broker, BucketWatch } from '@fleetwire/broker';
import { ORGS_BUCKET } from '@fleetwire/contract';
import { OrgState } from '@fleetwire/gen/access';
import type { Caller } from '@fleetwire/identity';
import { causeChain, type FleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

/** Where a service looks up what is known of an org. */
export interface Orgs {
  /** Undefined: org has published nothing about it yet. */
  get(org: string): OrgAccess | undefined;
}

export interface OrgFigures {
  readonly orgs: number;
  /** Entries that could not be read, since the start. */
  readonly unreadable: number;
}

/**
 * Follows the bucket over reconnects, restarts and even the loss of it: of an org the highest version that was ever seen
 * counts, so nothing that was revoked or closed comes back while this process lives.
 */
export class OrgDirectory implements Orgs {
  readonly #log: Logger;
  readonly #known = new Map<string, OrgAccess>();
  readonly #listeners = new Set<(org: OrgAccess) => void>();
  #watch: BucketWatch | undefined;
  #unreadable = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Resolves when all that is in the bucket has been read. Rejects failed_precondition: BUCKET_MISSING, BUCKET_DRIFT. */
  async open(broker: Pick<Broker, 'bucket'>): Promise<void> {
    const bucket = await broker.bucket(ORGS_BUCKET);
    const read = Promise.withResolvers<void>();
    const onEntry = (entry: { readonly key: string; readonly value: Uint8Array | undefined }) =>
      this.apply(entry.key, entry.value);
    this.#watch = await bucket.watch(onEntry, read.resolve, { onClosed: read.reject });
    await read.promise;
    this.#log.info({ orgs: this.#known.size }, 'the orgs are known');
  }

  close(): void {
    this.#watch?.stop();
  }

  get(org: string): OrgAccess | undefined {
    return this.#known.get(org);
  }

  /** All that are known, in no order. */
  all(): Iterable<OrgAccess> {
    return this.#known.values();
  }

  /** Called with each newer version of an org; gives what takes the listener away. */
  onChange(listener: (org: OrgAccess) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** For status pages. */
  get figures(): OrgFigures {
    return { orgs: this.#known.size, unreadable: this.#unreadable };
  }

  /**
   * Takes one entry. Without a value, or older than what is known, it changes nothing; so does one that cannot be read,
   * which is logged.
   */
  apply(key: string, value: Uint8Array | undefined): void {
    if (value === undefined) return;
    const access = this.#read(key, value);
    if (access === undefined) return;
    const before = this.#known.get(key);
    if (before !== undefined && before.version >= access.version) return;
    this.#known.set(key, access);
    for (const listener of this.#listeners) listener(access);
  }

  #read(key: string, value: Uint8Array): OrgAccess | undefined {
    let cause = 'it is about another org';
    try {
      const state = OrgState.decode(value);
      if (state.org === key) return compileOrg(state);
    } catch (error) {
      cause = causeChain(error);
    }
    this.#unreadable++;
    this.#log.error({ org: key, cause }, 'the state of an org cannot be read');
    return undefined;
  }
}

/**
 * Why a good token is not accepted all the same: TOKEN_REVOKED for people, ORG_CLOSED for people and nodes of an org whose
 * deletion has begun. Undefined: it is, also for an org of which nothing is known yet, since org publishes by and by.
 */
export function tokenRefusal(orgs: Orgs, caller: Caller): FleetwireError | undefined {
  if (caller.kind === 'service') return undefined;
  const org = orgs.get(caller.org);
  if (org === undefined || (caller.kind === 'node' && org.status === 'active')) return undefined;
  return org.revoked({ user: caller.subject, key: caller.key, issuedAtMs: caller.issuedAtMs });
}
