/** Keeps what is billed in step with the orgs: takes those that are due, one after the other, in any number of replicas. */

import {
  type BackoffPolicy,
  backoffMs,
  type Clock,
  type FleetwireError,
  nowMs,
  type Random,
  systemRandom,
} from '@fleetwire/kernel';
import { type Component, Rounds } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import { type Billed, type BillingParts, billOrg } from './bill-org.ts';
import { cancelNow } from './cancel-now.ts';
import { type BilledOrg, type Claim, claimDueOrg, forgetEvents, readBilledOrg } from './due-orgs.ts';
import type { Settle } from './store-outcome.ts';

export interface UpkeepLimits {
  /** Between two looks for orgs that are due, unless kicked. */
  readonly intervalMs: number;
  /** After which an org is due again whose replica has said nothing; longer than the calls for one org take. */
  readonly claimMs: number;
  readonly backoff: BackoffPolicy;
  /** How long the id of a webhook event is remembered. */
  readonly eventsKeptMs: number;
}

export interface UpkeepOptions extends BillingParts {
  readonly settle: Settle;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: UpkeepLimits;
  readonly random?: Random;
}

/** Claims made in the same millisecond must differ. */
const TOKEN_SPREAD_MS = 60_000;
const FORGET_INTERVAL_MS = 3_600_000;

export class BillingUpkeep implements Component {
  readonly name = 'billing';
  readonly stats = { settled: 0, failed: 0 };
  readonly #o: UpkeepOptions;
  readonly #random: Random;
  readonly #rounds: Rounds;
  #stopping = false;
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  /** Calls in a row that the provider has left unanswered. */
  #unanswered = 0;

  constructor(options: UpkeepOptions) {
    this.#o = options;
    this.#random = options.random ?? systemRandom;
    const { log, limits } = options;
    const work = () => this.#round();
    this.#rounds = new Rounds({ name: this.name, intervalMs: limits.intervalMs, log, work });
  }

  /** Does nothing where nobody is billed: what is due then stays so, until billing is switched on. */
  start(): void {
    if (this.#o.billing.kind !== 'none') this.#rounds.start();
  }

  /** Waits for the org that is being billed. Should the process be ended before, its claim runs out and it is repeated. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#rounds.stop();
  }

  /** Something was set due: look now. */
  kick(): void {
    this.#rounds.kick();
  }

  /** Bills all that are due and gives their number. Rejects when the database is away. */
  async runDue(): Promise<number> {
    for (let count = 0; ; count++) {
      if (this.#stopping) return count;
      const { limits, store } = this.#o;
      const spread = Math.floor(this.#random.fraction() * TOKEN_SPREAD_MS);
      const claim = await claimDueOrg(store, this.#nowMs(), this.#nowMs() + limits.claimMs + spread);
      if (!claim) return count;
      await this.#bill(claim);
    }
  }

  /** See `cancelNow`. */
  cancelNow(org: string): Promise<void> {
    return cancelNow(this.#o, this.#o.settle, org);
  }

  async #round(): Promise<void> {
    try {
      await this.runDue();
      await this.#forget();
    } catch (err) {
      this.#o.log.warn({ err }, 'billing is held up');
    }
  }

  async #bill({ org: id, token }: Claim): Promise<void> {
    const org = await readBilledOrg(this.#o.store, id);
    if (!org) return;
    const billed = await billOrg(this.#o, org);
    const { facts, acted, fallsToFree, failure } = billed;
    await this.#o.settle(id, {
      token,
      seen: org,
      facts,
      acted,
      fallsToFree,
      failure: failure && {
        answered: hasAnswered(failure),
        retryAtMs: this.#nowMs() + this.#pauseAfter(failure, org),
      },
    });
    this.#tell(org, billed);
  }

  /** A provider that does not answer is asked ever less often, whatever the org; one that refuses, by the org. */
  #pauseAfter(failure: FleetwireError, org: BilledOrg): number {
    const { backoff, claimMs } = this.#o.limits;
    const failures = hasAnswered(failure) ? org.billingFailures : this.#unanswered;
    this.#unanswered = hasAnswered(failure) ? 0 : this.#unanswered + 1;
    // A card that was declined is not charged again in a second.
    if (failure.details['declined'] !== undefined) return backoff.maxMs;
    const ms = backoffMs(backoff, failures, this.#random);
    // Whoever used the key with other values may still be at it; the next try has another key and must come after.
    return failure.reason === 'BILLING_BUSY' && hasAnswered(failure) ? Math.max(ms, claimMs) : ms;
  }

  #tell(org: BilledOrg, { facts, acted, fallsToFree, failure }: Billed): void {
    const { log } = this.#o;
    if (failure) {
      this.stats.failed++;
      log.warn({ org: org.id, err: failure }, 'an org could not be billed, trying on');
      return;
    }
    this.stats.settled++;
    this.#unanswered = 0;
    if (fallsToFree) log.warn({ org: org.id, plan: org.plan }, 'the subscription was ended there: plan free');
    else if (acted)
      log.info({ org: org.id, plan: facts?.billedPlan, seats: facts?.billedSeats }, 'org billed');
  }

  async #forget(): Promise<void> {
    const { clock, store, limits } = this.#o;
    if (clock.monotonicMs() - this.#forgotAtMs < FORGET_INTERVAL_MS) return;
    await forgetEvents(store, this.#nowMs() - limits.eventsKeptMs);
    this.#forgotAtMs = clock.monotonicMs();
  }

  #nowMs(): number {
    return nowMs(this.#o.clock);
  }
}

const hasAnswered = (failure: FleetwireError) => failure.details['status'] !== undefined;
