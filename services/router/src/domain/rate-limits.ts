/** How much an agent, a node and an org may send: the second line, behind the nodes that refuse at the source. */

import { Recent } from '@fleetwire/access';
import { TokenBucket, type TokenRate } from '@fleetwire/kernel';

export interface RateOptions {
  /** Undefined: no limit. */
  readonly node: TokenRate | undefined;
  readonly org: TokenRate | undefined;
  /** Buckets of each kind that are remembered; a forgotten one is full again. */
  readonly bucketsMax: number;
}

/** A message as the limits see it. */
export interface Metered {
  readonly org: string;
  readonly node: string;
  /** When the broker stored it, milliseconds. */
  readonly storedAtMs: number;
}

/** What a node says it has kept for longer goes by when the broker stored it: nobody claims tokens of a distant past. */
const WAITED_MAX_MS = 24 * 3_600_000;

/** Undefined: it may pass. */
export interface Overrun {
  readonly of: 'agent' | 'node' | 'org';
  /** Until a token is there. */
  readonly retryAfterMs: number;
}

/** A bucket with less than this part of its burst is nearly empty. */
const LOW_PART = 0.1;
/** The time until this part is there again is what is told then. */
const CALM_PART = 0.2;
/** The agent's rate is that of its policy times this, so that a node which keeps to the policy is never refused here. */
const HEAD_ROOM = { times: 12, outOf: 10 } as const;

/** What the router lets an agent do to whom its policy gives so many messages a minute: a node that restarts begins full. */
export function agentRate(perMinute: number): TokenRate {
  const { times, outOf } = HEAD_ROOM;
  const burst = Math.ceil((2 * perMinute * times) / outOf);
  return { tokens: perMinute * times, perMs: 60_000 * outOf, burst };
}

/** Of one router: with several, each lets as much through. */
export class RateLimits {
  readonly #options: RateOptions;
  readonly #agents: Recent<TokenBucket>;
  readonly #nodes: Recent<TokenBucket>;
  readonly #orgs: Recent<TokenBucket>;

  constructor(options: RateOptions) {
    this.#options = options;
    this.#agents = new Recent(options.bucketsMax);
    this.#nodes = new Recent(options.bucketsMax);
    this.#orgs = new Recent(options.bucketsMax);
  }

  /**
   * One message of an agent whose policy gives it so many a minute. By the time at which its node accepted it, not later than
   * the broker stored it: what a node has kept while it was cut off comes all at once, and was within its limit all the same.
   */
  ofAgent({ org, storedAtMs }: Metered, agent: string, perMinute: number, acceptedAtMs: number) {
    const rate = agentRate(perMinute);
    const atMs = acceptedAtMs > storedAtMs - WAITED_MAX_MS ? Math.min(acceptedAtMs, storedAtMs) : storedAtMs;
    const bucket = this.#bucket(this.#agents, `${org} ${agent}`, rate, atMs);
    bucket.setRate(rate, atMs);
    return taken('agent', bucket, atMs);
  }

  /** One message of a node, and so of its org: by when they reached the broker. */
  ofNode({ org, node, storedAtMs }: Metered): Overrun | undefined {
    const { node: ofNode, org: ofOrg } = this.#options;
    const overrun =
      ofNode && taken('node', this.#bucket(this.#nodes, `${org} ${node}`, ofNode, storedAtMs), storedAtMs);
    if (overrun !== undefined || ofOrg === undefined) return overrun;
    return taken('org', this.#bucket(this.#orgs, org, ofOrg, storedAtMs), storedAtMs);
  }

  /** The time to hold back where a bucket of the node or its org is nearly empty; undefined: none is. */
  nearlyEmpty({ org, node, storedAtMs }: Metered): number | undefined {
    const waits = [this.#nodes.get(`${org} ${node}`), this.#orgs.get(org)].flatMap((bucket) => {
      const { burst, tokens, perMs } = bucket?.rate ?? NONE;
      const left = bucket?.left(storedAtMs) ?? burst;
      return left < burst * LOW_PART ? [Math.ceil(((burst * CALM_PART - left) * perMs) / tokens)] : [];
    });
    return waits.length === 0 ? undefined : Math.max(...waits);
  }

  /** Is there a limit of nodes or of orgs? */
  get limitsNodes(): boolean {
    return this.#options.node !== undefined || this.#options.org !== undefined;
  }

  #bucket(among: Recent<TokenBucket>, key: string, rate: TokenRate, atMs: number): TokenBucket {
    let bucket = among.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(rate, atMs);
      among.set(key, bucket);
    }
    return bucket;
  }
}

const NONE: TokenRate = { tokens: 1, perMs: 1, burst: 1 };

function taken(of: Overrun['of'], bucket: TokenBucket, atMs: number): Overrun | undefined {
  const answer = bucket.take(1, atMs);
  return answer.ok ? undefined : { of, retryAfterMs: answer.retryAfterMs };
}
