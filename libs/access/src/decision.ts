/** What is asked of an org's policies, and what is answered. */

/** `release` ends an agent that was spawned: allowed to whom spawning it would be. */
export const ACTIONS = ['spawn', 'message', 'tool', 'release'] as const;
export type Action = (typeof ACTIONS)[number];

/** The levels of policies, in the order in which they decide among equals. */
export const LEVELS = ['org', 'user', 'workspace', 'repo'] as const;
export type Level = (typeof LEVELS)[number];

/** Stable; `ORG_CLOSED`: the org is being deleted. */
export type DecisionReason =
  | 'ALLOWED_BY_DEFAULT'
  | 'ALLOWED_BY_POLICY'
  | 'MESSAGE_DENIED'
  | 'SPAWN_DENIED'
  | 'NOT_SPAWNABLE'
  | 'SPAWN_LIMIT'
  | 'TOOL_DENIED'
  | 'RELEASE_DENIED'
  | 'ORG_CLOSED';

export interface Question {
  readonly action: Action;
  /** Name of the agent that acts, in any case. */
  readonly actor: string;
  /** Name of the agent that it is done to, in any case; or exact name of a tool. */
  readonly target: string;
  /** Id of the user whom the actor belongs to; missing or empty: as assigned. */
  readonly actorUser?: string;
  /** Id of the user whom the target belongs to, or will; missing or empty: as assigned. */
  readonly targetUser?: string;
  /** Agents alive that the actor has spawned; counts when it spawns. Missing: none. */
  readonly spawned?: number;
}

/** Frozen and shared: equal questions may get the same object. */
export interface Decision {
  readonly allowed: boolean;
  readonly reason: DecisionReason;
  /** Level of the policy that decided; `default` when none spoke, `org` when the org is closed. */
  readonly source: Level | 'default';
  /** Id of the policy that decided, or empty. */
  readonly matchedPolicy: string;
  /** Its name, or empty. */
  readonly matchedPolicyName: string;
  /** Position of the rule in that policy, from 0; -1: none. */
  readonly matchedRule: number;
  /** A sentence for people, which counts rules from 1. */
  readonly explanation: string;
}

const NOBODY = { matchedPolicy: '', matchedPolicyName: '', matchedRule: -1 } as const;

/** Where no policy speaks, everything is allowed. */
export const BY_DEFAULT: Readonly<Record<Action, Decision>> = {
  spawn: byDefault('No policy says which agents this one may spawn, so it may spawn any.'),
  message: byDefault('No policy says which agents this one may message, so it may message any.'),
  tool: byDefault('No policy says which tools this agent may use, so it may use any.'),
  release: byDefault('No policy says which agents this one may spawn, so it may release any.'),
};

/** The answer to every question about an org that is being deleted. */
export const CLOSED: Decision = Object.freeze({
  ...NOBODY,
  allowed: false,
  reason: 'ORG_CLOSED',
  source: 'org',
  explanation: 'The org is being deleted, so its agents may do nothing more.',
});

function byDefault(explanation: string): Decision {
  return Object.freeze({
    ...NOBODY,
    allowed: true,
    reason: 'ALLOWED_BY_DEFAULT',
    source: 'default',
    explanation,
  });
}
