/** What the policies say about one agent: for each matter the rule that decides it. */

import type { Decision, Level } from './decision.ts';
import type { Place, Rule, RuleBook } from './rule-book.ts';
import type { ListVerdict, RuleOrigin, SpawnLimit } from './verdicts.ts';

/** A number, and the policy that sets it. */
export interface AgentLimit {
  readonly value: number;
  readonly source: Level;
  /** Id. */
  readonly policy: string;
}

/** Of one agent; missing: no limit. Frozen. */
export interface AgentLimits {
  /** Messages that it may send a minute. */
  readonly rateLimitPerMinute?: AgentLimit;
  /** Agents alive that it has spawned. */
  readonly maxSpawns?: AgentLimit;
}

/** Undefined: no policy speaks on the matter. */
export interface AgentRules {
  /** Whom the agent was taken to belong to, and to whom it is assigned; empty: nobody. */
  readonly user: string;
  readonly assignedUser: string;
  readonly spawn: ListVerdict | undefined;
  readonly message: ListVerdict | undefined;
  readonly tool: ListVerdict | undefined;
  readonly release: ListVerdict | undefined;
  readonly spawnable: Decision | undefined;
  readonly spawnLimit: SpawnLimit | undefined;
  readonly limits: AgentLimits;
}

/** `agent`: folded name. Which rule decides does not depend on the target, so this is worked out once for an agent. */
export function agentRules(book: RuleBook, agent: string, place: Place, assignedUser: string): AgentRules {
  let spawn: Rule | undefined;
  let message: Rule | undefined;
  let tool: Rule | undefined;
  let spawnable: Rule | undefined;
  let spawnLimit: Rule | undefined;
  let rateLimit: Rule | undefined;
  for (const rule of book.rulesFor(agent, place)) {
    if (rule.spawn) spawn ??= rule;
    if (rule.message) message ??= rule;
    if (rule.tool) tool ??= rule;
    if (rule.spawnable) spawnable ??= rule;
    if (rule.spawnLimit) spawnLimit ??= rule;
    if (rule.rateLimit !== undefined) rateLimit ??= rule;
  }
  return {
    user: place.user,
    assignedUser,
    spawn: spawn?.spawn,
    message: message?.message,
    tool: tool?.tool,
    release: spawn?.release,
    spawnable: spawnable?.spawnable,
    spawnLimit: spawnLimit?.spawnLimit,
    limits: Object.freeze({
      ...(rateLimit && { rateLimitPerMinute: limit(rateLimit.rateLimit!, rateLimit.origin) }),
      ...(spawnLimit && { maxSpawns: limit(spawnLimit.spawnLimit!.max, spawnLimit.origin) }),
    }),
  };
}

function limit(value: number, origin: RuleOrigin): AgentLimit {
  return Object.freeze({ value, source: origin.level, policy: origin.policy });
}
