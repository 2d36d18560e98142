/** Accounts of orgs that are made while the fabric runs: the servers hold one before anybody gets credentials in it. */

import { existsSync } from 'node:fs';
import {
  type AccountIssuer,
  ALL_USERS,
  keyFiles,
  type OrgAccount,
  type Revocations,
} from '@fleetwire/identity';
import { asFleetwireError, FleetwireError, keepNewest } from '@fleetwire/kernel';
import { ensureOrgAccount, heldAccounts, revokeUsers, type SystemAccount } from './account-claims.ts';
import { type Access, keysDirOf, withBroker } from './bootstrap-access.ts';

export interface OrgAccountsOptions extends Pick<Access, 'keysDir' | 'natsUrls'> {
  /** Keys of an org that are revoked, whatever the servers know: they may come back with an older memory. */
  readonly revoked?: (org: string) => Promise<Revocations>;
}

interface Waiting {
  readonly org: OrgAccount;
  readonly issuer: AccountIssuer;
  readonly done: PromiseWithResolvers<number>;
}

/** What a revocation fails with beyond the servers not being told. */
const SAYS_ITSELF: readonly string[] = ['REVOCATION_OVERWRITTEN', 'NATS_WITHOUT_ACCOUNTS'];
const RETRY_MS = 2_000;
/** Orgs that are remembered as seen to. */
const THERE_MAX = 100_000;

export class OrgAccounts {
  readonly #access: OrgAccountsOptions;
  /** What is revoked in an org, by its id. */
  readonly #there = new Map<string, Revocations>();
  readonly #waiting = new Map<string, Waiting>();
  #working = false;

  constructor(options: OrgAccountsOptions) {
    this.#access = options;
  }

  /** Are the credentials of the system account mounted? Without them there is nobody to ask and nothing to tell. */
  get mounted(): boolean {
    return existsSync(keyFiles.natsCreds(keysDirOf(this.#access), 'sys'));
  }

  /**
   * Resolves when the servers hold the org's account, with the Unix second until which the JWTs of all its users are
   * revoked, as far as was seen (0: they are not): what is issued then or before does not work. At once for
   * one that was seen to. The system account is connected to only for what waits, by one connection for all of it. Rejects
   * unavailable ACCOUNT_NOT_READY.
   */
  ensure(issuer: AccountIssuer, org: OrgAccount): Promise<number> {
    const there = this.#there.get(org.id);
    if (there !== undefined) return Promise.resolve(there[ALL_USERS] ?? 0);
    const waiting = this.#waiting.get(org.id) ?? { org, issuer, done: Promise.withResolvers<number>() };
    this.#waiting.set(org.id, waiting);
    if (!this.#working) void this.#work();
    return waiting.done.promise;
  }

  /**
   * Resolves when the servers refuse every user of the org whose JWT was issued until `nowMs` (to the whole second that
   * it is in, by the clock of who issues), and have dropped their connections. Can be done again. Rejects unavailable
   * ACCOUNT_NOT_READY or REVOCATION_OVERWRITTEN, failed_precondition NATS_WITHOUT_ACCOUNTS.
   */
  revokeAll(issuer: AccountIssuer, org: OrgAccount, nowMs: number): Promise<void> {
    return this.revoke(issuer, org, { [ALL_USERS]: Math.floor(nowMs / 1000) });
  }

  /** As `revokeAll`, of the users with these keys, each until its own moment (Unix seconds). */
  async revoke(issuer: AccountIssuer, org: OrgAccount, keys: Revocations): Promise<void> {
    try {
      const work = (system: SystemAccount) => revokeUsers(system, issuer, org, keys);
      this.#remember(org.id, await withBroker(this.#access, 'sys', work));
    } catch (error) {
      throw SAYS_ITSELF.includes(asFleetwireError(error).reason) ? error : notReady(org.id, error);
    }
  }

  /** Until when what is issued to a key does not work, Unix seconds, as far as was seen by `ensure` and `revoke`; 0: it does. */
  revokedUntil(org: string, publicKey: string): number {
    const there = this.#there.get(org);
    return Math.max(there?.[ALL_USERS] ?? 0, there?.[publicKey] ?? 0);
  }

  /** Sees to every org anew, or to one: servers that came back may have lost what they held, others may have revoked. */
  forget(org?: string): void {
    if (org === undefined) this.#there.clear();
    else this.#there.delete(org);
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      await withBroker(this.#access, 'sys', async (system) => {
        while (this.#waiting.size > 0) await this.#round(system);
      });
    } catch (error) {
      for (const one of this.#waiting.values()) this.#fail(one, error);
    } finally {
      this.#working = false;
    }
    // Came while the connection was being closed.
    if (this.#waiting.size > 0) void this.#work();
  }

  async #round(system: SystemAccount): Promise<void> {
    const all = [...this.#waiting.values()];
    const held = await heldAccounts(system);
    for (const one of all) {
      try {
        const known = (await this.#access.revoked?.(one.org.id)) ?? {};
        const revoked = await ensureOrgAccount(system, one.issuer, one.org, held, known);
        this.#waiting.delete(one.org.id);
        this.#remember(one.org.id, revoked);
        one.done.resolve(revoked[ALL_USERS] ?? 0);
      } catch (error) {
        this.#fail(one, error);
        // One account that is refused says nothing about the next; servers that do not answer do.
        if (asFleetwireError(error).kind === 'unavailable') throw error;
      }
    }
  }

  #remember(org: string, revoked: Revocations): void {
    this.#there.set(org, revoked);
    keepNewest(this.#there, THERE_MAX);
  }

  #fail(one: Waiting, error: unknown): void {
    this.#waiting.delete(one.org.id);
    one.done.reject(notReady(one.org.id, error));
  }
}

function notReady(org: string, cause: unknown): FleetwireError {
  const why = asFleetwireError(cause).message;
  return new FleetwireError(
    'unavailable',
    'ACCOUNT_NOT_READY',
    `the NATS servers were not told of the account of ${org}: ${why}`,
    {
      help: 'Try again; if it stays so, give the registry nats/sys.creds of the keys folder.',
      retryAfterMs: RETRY_MS,
      cause,
    },
  );
}
