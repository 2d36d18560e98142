/** When rosters are taken: one of a node at a time, few at once, each org in its turn, and of a node only so much in time. */

import { type Clock, FleetwireError, pause } from '@fleetwire/kernel';
import type { RegistryConfig } from '../config.ts';
import { Allowance } from '../domain/allowance.ts';

/** Agents of a roster that one statement writes; what a roster costs is counted in these. */
export const ROSTER_BATCH = 500;
/** For who comes again while its roster is under way. */
const AGAIN_MS = 1000;

type Settings = 'rosters_max' | 'roster_wait_ms' | 'roster_burst' | 'roster_every_ms' | 'known_nodes_max';

export interface RosterTurnsOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly config: Pick<RegistryConfig, Settings>;
}

export class RosterTurns {
  readonly #o: RosterTurnsOptions;
  readonly #allowed: Allowance;
  readonly #underWay = new Set<string>();
  /** By org, the org whose turn is next first; each waits with its node in `underWay`. */
  readonly #waiting = new Map<string, Set<() => void>>();
  #free: number;

  constructor(options: RosterTurnsOptions) {
    this.#o = options;
    const { roster_burst: burst, roster_every_ms: everyMs, known_nodes_max: max } = options.config;
    this.#allowed = new Allowance({ burst, everyMs, max });
    this.#free = options.config.rosters_max;
  }

  /** Throws ROSTER_UNDER_WAY, ROSTER_TOO_OFTEN, ROSTERS_WAIT; then `work` was not begun. */
  async run<T>(
    node: { readonly id: string; readonly org: string },
    agents: number,
    work: () => Promise<T>,
  ): Promise<T> {
    if (this.#underWay.has(node.id))
      throw refusal('ROSTER_UNDER_WAY', 'a roster of this node is under way', AGAIN_MS);
    const batches = Math.max(1, Math.ceil(agents / ROSTER_BATCH));
    const refused = this.#allowed.take(node.id, this.#o.clock.monotonicMs(), batches);
    if (refused !== undefined)
      throw refusal('ROSTER_TOO_OFTEN', 'this node tells its roster too often', refused.waitMs);
    this.#underWay.add(node.id);
    try {
      await this.#turn(node.org);
      try {
        return await work();
      } finally {
        this.#next();
      }
    } finally {
      this.#underWay.delete(node.id);
    }
  }

  async #turn(org: string): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    const mine = Promise.withResolvers<void>();
    const given = new AbortController();
    const begin = () => {
      given.abort();
      mine.resolve();
    };
    const ofOrg = this.#waiting.get(org) ?? new Set();
    this.#waiting.set(org, ofOrg.add(begin));
    await Promise.race([mine.promise, pause(this.#o.config.roster_wait_ms, given.signal)]);
    if (given.signal.aborted) return;
    ofOrg.delete(begin);
    if (ofOrg.size === 0) this.#waiting.delete(org);
    throw refusal('ROSTERS_WAIT', 'too many rosters are being taken', AGAIN_MS);
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#free++;
      return;
    }
    const [org, ofOrg] = first;
    const [begin] = ofOrg;
    ofOrg.delete(begin!);
    this.#waiting.delete(org);
    if (ofOrg.size > 0) this.#waiting.set(org, ofOrg);
    begin!();
  }
}

function refusal(reason: string, message: string, retryAfterMs: number): FleetwireError {
  return new FleetwireError('resource_exhausted', reason, message, {
    help: 'Tell it again after the retry time.',
    retryAfterMs,
  });
}
