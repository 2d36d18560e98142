/** What one registry does for all: the routing table, nodes that fell silent, what orgs have. Guarded by a lease. */

import type { Lease } from '@fleetwire/broker';
import { asFleetwireError, type Clock } from '@fleetwire/kernel';
import { Rounds } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';

export interface UpkeepOptions {
  /** Undefined: another replica holds it. */
  readonly acquire: () => Promise<Lease | undefined>;
  readonly reconcile: (over: AbortSignal) => Promise<{ routes: number; put: number; removed: number }>;
  /** What the routing table remembers for longer than it need; what one comparison has left of it. */
  readonly forget: (over: AbortSignal) => Promise<unknown>;
  /** Names of the nodes that went offline. */
  readonly sweep: () => Promise<readonly string[]>;
  /** Keys that lapse, removals that were cut short, servers that may have forgotten. */
  readonly keys: (over: AbortSignal) => Promise<unknown>;
  /** Agents of nodes that are silent for too long; `mayGoOn` is asked before each step. */
  readonly sweepStale: (mayGoOn: () => boolean) => Promise<unknown>;
  /** Writes the routes of channels that are out of date. */
  readonly mendChannels: () => Promise<unknown>;
  /** Tells what orgs have. */
  readonly usage: (over: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<RegistryConfig, 'sweep_ms' | 'reconcile_ms' | 'usage_interval_ms'>;
}

export class Upkeep {
  readonly name = 'upkeep';
  readonly #options: UpkeepOptions;
  readonly #rounds: Rounds;
  #lease: Lease | undefined;
  #reconciledAtMs = Number.NEGATIVE_INFINITY;
  #toldUsageAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    const { log, config } = options;
    this.#rounds = new Rounds({
      name: this.name,
      intervalMs: config.sweep_ms,
      log,
      work: (stopping) => this.#turn(stopping),
      atEnd: async () => this.#lease?.release(),
    });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  get holding(): boolean {
    return this.#lease?.valid() === true;
  }

  /** The table may have lost something: compare it at the next opportunity. */
  reconcileSoon(): void {
    this.#reconciledAtMs = Number.NEGATIVE_INFINITY;
  }

  async #turn(stopping: AbortSignal): Promise<void> {
    if (!this.holding && !(await this.#lead())) return;
    const lease = this.#lease!;
    const over = AbortSignal.any([stopping, lease.lost]);
    if (over.aborted) return;
    await this.#attempt('routing table', () => this.#reconcileIfDue(over));
    await this.#attempt('markers', () => this.#options.forget(over));
    await this.#attempt('sweep', () => this.#sweep());
    await this.#attempt('keys', () => this.#options.keys(over));
    await this.#attempt('channels', () => this.#options.mendChannels());
    await this.#attempt('stale agents', () => this.#options.sweepStale(() => lease.valid() && !over.aborted));
    await this.#attempt('usage', () => this.#tellUsageIfDue(over));
  }

  async #lead(): Promise<boolean> {
    await this.#lease?.release();
    this.#lease = await this.#options.acquire();
    this.reconcileSoon();
    return this.#lease !== undefined;
  }

  async #reconcileIfDue(over: AbortSignal): Promise<void> {
    const { clock, config, log } = this.#options;
    const started = clock.monotonicMs();
    if (started - this.#reconciledAtMs < config.reconcile_ms) return;
    this.#reconciledAtMs = started;
    try {
      const done = await this.#options.reconcile(over);
      if (done.put > 0 || done.removed > 0) log.info(done, 'the routing table was corrected');
    } catch (error) {
      this.reconcileSoon();
      throw error;
    }
  }

  async #tellUsageIfDue(over: AbortSignal): Promise<void> {
    const { clock, config, usage } = this.#options;
    const started = clock.monotonicMs();
    if (started - this.#toldUsageAtMs < config.usage_interval_ms) return;
    await usage(over);
    this.#toldUsageAtMs = started;
  }

  async #sweep(): Promise<void> {
    for (const node of await this.#options.sweep()) this.#options.log.info({ node }, 'node went offline');
  }

  /** Dependencies come back by themselves: what failed is due again at the next turn. */
  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#options.log.warn({ err: asFleetwireError(error), what }, 'upkeep is held up');
      return undefined;
    }
  }
}
