/** Accounts of orgs that are made while the fabric runs: the servers hold one before anybody gets credentials in it. */

import type { AccountIssuer, OrgAccount } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import { ensureOrgAccount, heldAccounts, type SystemAccount } from './account-claims.ts';
import { type Access, withBroker } from './bootstrap-access.ts';

export type OrgAccountsOptions = Pick<Access, 'keysDir' | 'natsUrls'>;

interface Waiting {
  readonly org: OrgAccount;
  readonly issuer: AccountIssuer;
  readonly done: PromiseWithResolvers<void>;
}

const RETRY_MS = 2_000;
/** Orgs that are remembered as seen to. */
const THERE_MAX = 100_000;

export class OrgAccounts {
  readonly #access: Access;
  readonly #there = new Set<string>();
  readonly #waiting = new Map<string, Waiting>();
  #working = false;

  constructor(options: OrgAccountsOptions) {
    this.#access = options;
  }

  /**
   * Resolves when the servers hold the org's account; at once for one that was seen to. The system account is connected
   * to only for what waits, by one connection for all of it. Rejects unavailable ACCOUNT_NOT_READY.
   */
  ensure(issuer: AccountIssuer, org: OrgAccount): Promise<void> {
    if (this.#there.has(org.id)) return Promise.resolve();
    const waiting = this.#waiting.get(org.id) ?? { org, issuer, done: Promise.withResolvers<void>() };
    this.#waiting.set(org.id, waiting);
    if (!this.#working) void this.#work();
    return waiting.done.promise;
  }

  /** Sees to every org anew: servers that came back may have lost what they held. */
  forget(): void {
    this.#there.clear();
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      await withBroker(this.#access, 'sys', async (system) => {
        while (this.#waiting.size > 0) await this.#round(system);
      });
    } catch (error) {
      for (const one of this.#waiting.values()) this.#settle(one, error);
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
        await ensureOrgAccount(system, one.issuer, one.org, held);
        this.#settle(one);
      } catch (error) {
        this.#settle(one, error);
        // One account that is refused says nothing about the next; servers that do not answer do.
        if (asFleetwireError(error).kind === 'unavailable') throw error;
      }
    }
  }

  #settle(one: Waiting, error?: unknown): void {
    this.#waiting.delete(one.org.id);
    if (error === undefined) {
      this.#there.add(one.org.id);
      if (this.#there.size > THERE_MAX) this.#there.delete(this.#there.values().next().value!);
      one.done.resolve();
    } else one.done.reject(notReady(one.org.id, error));
  }
}

function notReady(org: string, cause: unknown): FleetwireError {
  const why = cause instanceof Error ? cause.message : String(cause);
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
