/** How often each agent of this node may send, as the org's policies say. */

import type { AgentLimit } from '@fleetwire/access';
import { FleetwireError, printable, type Taken, TokenBucket, type TokenRate } from '@fleetwire/kernel';

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

const NO_LIMIT: Taken = { ok: true };

/** Forgotten at a restart: each agent then starts with a full bucket. */
export class SendingLimits {
  readonly #buckets = new WeakMap<object, TokenBucket>();

  /** Counts one message of `agent`, where it is not one too many. `perMinute` undefined: as many as it likes. */
  take(agent: object, perMinute: number | undefined, nowMs: number): Taken {
    if (perMinute === undefined || !(perMinute > 0)) {
      this.#buckets.delete(agent);
      return NO_LIMIT;
    }
    return this.#bucket(agent, sendingRate(perMinute), nowMs).take(1, nowMs);
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

/** The error with which a message is refused. `policyName`: of the policy that sets the limit. */
export function rateLimited(
  name: string,
  limit: AgentLimit & { readonly policyName: string },
  retryAfterMs: number,
): FleetwireError {
  const { value, policy, policyName, source } = limit;
  const said = `the ${source} policy "${printable(policyName)}" lets ${name} send ${value} messages a minute`;
  return new FleetwireError('resource_exhausted', 'RATE_LIMITED', said, {
    help: 'Send more slowly, or ask an admin of the org for a higher limit.',
    details: { limit: String(value), policy: policyName, policy_id: policy },
    retryAfterMs,
  });
}
