/** Accounts of orgs that are made while the fabric runs: the servers hold one before anybody gets credentials in it. */

import { existsSync } from 'node:fs';
import { type AccountIssuer, keyFiles, type OrgAccount } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import { ensureOrgAccount, heldAccounts, revokeAllUsers, type SystemAccount } from './account-claims.ts';
import { type Access, keysDirOf, withBroker } from './bootstrap-access.ts';

export type OrgAccountsOptions = Pick<Access, 'keysDir' | 'natsUrls'>;

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
  readonly #access: Access;
  /** Until when all users of an org are revoked, Unix seconds, by its id. */
  readonly #there = new Map<string, number>();
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
    if (there !== undefined) return Promise.resolve(there);
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
  async revokeAll(issuer: AccountIssuer, org: OrgAccount, nowMs: number): Promise<void> {
    const untilS = Math.floor(nowMs / 1000);
    try {
      await withBroker(this.#access, 'sys', (system) => revokeAllUsers(system, issuer, org, untilS));
    } catch (error) {
      throw SAYS_ITSELF.includes(asFleetwireError(error).reason) ? error : notReady(org.id, error);
    }
    this.#remember(org.id, Math.max(untilS, this.#there.get(org.id) ?? 0));
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
        const revokedUntilS = await ensureOrgAccount(system, one.issuer, one.org, held);
        this.#waiting.delete(one.org.id);
        this.#remember(one.org.id, revokedUntilS);
        one.done.resolve(revokedUntilS);
      } catch (error) {
        this.#fail(one, error);
        // One account that is refused says nothing about the next; servers that do not answer do.
        if (asFleetwireError(error).kind === 'unavailable') throw error;
      }
    }
  }

  #remember(org: string, revokedUntilS: number): void {
    this.#there.set(org, revokedUntilS);
    if (this.#there.size > THERE_MAX) this.#there.delete(this.#there.keys().next().value!);
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
