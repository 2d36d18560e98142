/** Keeps one org from filling the ingress stream of all: while it grows full, nodes of who holds too much of it are to stop. */

import type { Broker } from '@fleetwire/broker';
import { filters, type StreamName } from '@fleetwire/contract';
import { causeChain, pause } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { isFuller, type MessageSizes, type OverBudget, overBudget } from '../domain/ingress-budget.ts';
import type { PeerFrames } from './peer-frames.ts';

export interface IngressWatchOptions {
  readonly broker: {
    readonly streams: Pick<Broker['streams'], 'state' | 'countBySubject'>;
    connected(): boolean;
  };
  /** Noted by the sessions of the partitions. */
  readonly sizes: MessageSizes;
  readonly frames: Pick<PeerFrames, 'send'>;
  /** One that is alone takes nothing from anybody. */
  readonly severalOrgs: () => boolean;
  /** Partitions of this replica: it tells their nodes, as the others tell those of theirs. */
  readonly partitions: () => readonly number[];
  /** Hundredths of what the stream may hold: from here on it is looked into. */
  readonly watchPercent: number;
  /** Hundredths of the same that one org may hold. */
  readonly orgPercent: number;
  /** Between two looks, milliseconds. */
  readonly intervalMs: number;
  readonly log: Logger;
}

/** Two of the server's pages. What goes beyond counts as nobody's. */
const SUBJECTS_MAX = 200_000;
/** Frames written at a stretch. */
const FRAMES_AT_ONCE = 200;
const INGRESS: StreamName = 'INGRESS';

/**
 * Has one question to the server under way at most, and none in the way of mail. Without an answer nobody is told anything,
 * and what was told lapses.
 */
export class IngressWatch {
  readonly name = 'ingress watch';
  readonly #o: IngressWatchOptions;
  readonly #stopping = new AbortController();
  #over: ReadonlySet<string> = new Set();
  #failed = false;

  constructor(options: IngressWatchOptions) {
    this.#o = options;
  }

  /** For `health`: subjects whose sizes are noted, and orgs that hold too much. */
  get figures(): { readonly sizes: number; readonly over_budget: number } {
    return { sizes: this.#o.sizes.size, over_budget: this.#over.size };
  }

  start(): void {
    void this.#keepLooking();
  }

  /** Does not wait for an answer that is under way. */
  stop(): void {
    this.#stopping.abort();
  }

  async #keepLooking(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#look();
      await pause(this.#o.intervalMs, signal);
    }
  }

  async #look(): Promise<void> {
    if (!this.#o.broker.connected()) return;
    try {
      const over = await this.#overBudget();
      this.#failed = false;
      if (this.#stopping.signal.aborted) return;
      this.#note(over);
      await this.#tell(over);
    } catch (error) {
      if (!this.#failed) this.#o.log.warn({ error: causeChain(error) }, 'nobody knows who fills ingress');
      this.#failed = true;
    }
  }

  async #overBudget(): Promise<readonly OverBudget[]> {
    const { broker, sizes, watchPercent, orgPercent, severalOrgs } = this.#o;
    const state = severalOrgs() ? await broker.streams.state(INGRESS) : undefined;
    // From half of the bound on, so that sizes have been seen by the time at which they count.
    sizes.on = state !== undefined && isFuller(state, watchPercent / 2);
    if (state === undefined || !isFuller(state, watchPercent)) return [];
    const holdings = await broker.streams.countBySubject(INGRESS, filters.allIngress, SUBJECTS_MAX);
    return holdings === undefined ? [] : overBudget(holdings, sizes, orgPercent);
  }

  #note(over: readonly OverBudget[]): void {
    const before = this.#over;
    this.#over = new Set(over.map(({ org }) => org));
    for (const { org, bytes } of over)
      if (!before.has(org))
        this.#o.log.warn({ org, bytes }, 'an org holds too much of ingress: it is to stop');
    for (const org of before)
      if (!this.#over.has(org)) this.#o.log.info({ org }, 'an org may send to ingress again');
  }

  async #tell(over: readonly OverBudget[]): Promise<void> {
    const mine = new Set(this.#o.partitions());
    // It holds over one frame that is lost, and over an answer that takes its time.
    const retryAfterMs = 2 * this.#o.intervalMs;
    let written = 0;
    for (const { org, nodes } of over)
      for (const { node, partition } of nodes) {
        if (!mine.has(partition)) continue;
        this.#o.frames.send({ org, node, reason: 'ingress_budget', retryAfterMs });
        if (++written % FRAMES_AT_ONCE === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      }
  }
}
