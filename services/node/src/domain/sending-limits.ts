/** How often each agent of this node may send, as the org's policies say. */

import type { AgentLimit } from '@fleetwire/access';
import { FleetwireError, TokenBucket, type TokenRate } from '@fleetwire/kernel';

const MINUTE_MS = 60_000;
/** Of what an agent may send in a minute, the part that it may send at once: ten seconds' worth. */
const BURSTS_PER_MINUTE = 6;

/** `perMinute` at a steady rate, and a sixth of that at once, at least one. */
export function sendingRate(perMinute: number): TokenRate {
  return {
    tokens: perMinute,
    perMs: MINUTE_MS,
    burst: Math.max(1, Math.floor(perMinute / BURSTS_PER_MINUTE)),
  };
}

/** `policyName`: the policy that sets it, for people. */
export type SendingLimit = AgentLimit & { readonly policyName: string };

/** Forgotten at a restart: each agent then starts with a full bucket. */
export class SendingLimits {
  readonly #buckets = new WeakMap<object, TokenBucket>();

  /** Counts one message of `agent`, or gives the error with which it is refused, and then counts nothing. */
  take(
    agent: { readonly name: string },
    limit: SendingLimit | undefined,
    nowMs: number,
  ): FleetwireError | undefined {
    if (limit === undefined || !(limit.value > 0)) {
      this.#buckets.delete(agent);
      return undefined;
    }
    const taken = this.#bucket(agent, sendingRate(limit.value), nowMs).take(1, nowMs);
    return taken.ok ? undefined : rateLimited(agent.name, limit, taken.retryAfterMs);
  }

  #bucket(agent: object, rate: TokenRate, nowMs: number): TokenBucket {
    const known = this.#buckets.get(agent);
    known?.setRate(rate, nowMs);
    if (known !== undefined) return known;
    const made = new TokenBucket(rate, nowMs);
    this.#buckets.set(agent, made);
    return made;
  }
}

function rateLimited(name: string, limit: SendingLimit, retryAfterMs: number): FleetwireError {
  const { value, policy, policyName } = limit;
  const said = `the ${limit.source} policy "${policyName}" lets ${name} send ${value} messages a minute`;
  return new FleetwireError('resource_exhausted', 'RATE_LIMITED', said, {
    help: 'Send more slowly, or ask an admin of the org for a higher limit.',
    details: { limit: String(value), policy: policyName, policy_id: policy },
    retryAfterMs,
  });
}
