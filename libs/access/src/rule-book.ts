/** The policies of an org in the order in which they decide, found by whom they are for. */

import type { OrgState, Policy, PolicyRule } from '@fleetwire/gen/access';
import { foldName } from '@fleetwire/kernel';
import type { Decision, Level } from './decision.ts';
import { LEVELS } from './decision.ts';
import { GlobPattern } from './glob-pattern.ts';
import { ListVerdict, type RuleOrigin, SpawnLimit, spawnableVerdict } from './verdicts.ts';

/** A rule of a policy, compiled; what is undefined it says nothing about. */
export interface Rule {
  readonly agents: GlobPattern;
  readonly origin: RuleOrigin;
  readonly spawn: ListVerdict | undefined;
  readonly message: ListVerdict | undefined;
  readonly tool: ListVerdict | undefined;
  readonly release: ListVerdict | undefined;
  readonly spawnable: Decision | undefined;
  readonly spawnLimit: SpawnLimit | undefined;
  /** Messages a minute. */
  readonly rateLimit: number | undefined;
}

/** Whom policies may be for. Empty: nobody's, in no workspace, in no repo. */
export interface Place {
  readonly user: string;
  readonly workspace: string;
  readonly repo: string;
}

interface RankedPolicy {
  readonly rank: number;
  readonly rules: readonly Rule[];
}

/** Immutable. Takes a copy of what it needs. */
export class RuleBook {
  /** Does any rule say whom an agent may message, and any how often? */
  readonly speaksOf: { readonly message: boolean; readonly rateLimit: boolean };
  readonly #policies = new Map<string, RankedPolicy[]>();

  constructor(policies: OrgState['policies']) {
    const enabled = policies.filter((policy) => !policy.disabled && isAddressed(policy));
    for (const [rank, policy] of enabled.sort(byPrecedence).entries()) {
      const key = keyOf(policy.level as Level, policy.subject);
      const ranked = { rank, rules: policy.rules.map((rule, i) => compileRule(policy, rule, i)) };
      const sameKey = this.#policies.get(key);
      if (sameKey) sameKey.push(ranked);
      else this.#policies.set(key, [ranked]);
    }
    const rules = enabled.flatMap((policy) => policy.rules);
    this.speaksOf = {
      message: rules.some((rule) => rule.canMessage !== undefined),
      rateLimit: rules.some((rule) => rule.rateLimitPerMinute !== undefined),
    };
  }

  /** The rules that are for an agent, the one that decides first in front. `agent`: folded name. */
  *rulesFor(agent: string, place: Place): Iterable<Rule> {
    const policies = [
      ...(this.#policies.get(keyOf('org', '')) ?? []),
      ...(this.#policies.get(keyOf('user', place.user)) ?? []),
      ...(this.#policies.get(keyOf('workspace', place.workspace)) ?? []),
      ...(this.#policies.get(keyOf('repo', place.repo)) ?? []),
    ].sort((a, b) => a.rank - b.rank);
    for (const { rules } of policies) {
      for (const rule of rules) if (rule.agents.matches(agent)) yield rule;
    }
  }
}

const keyOf = (level: Level, subject: string): string => (level === 'org' ? level : `${level} ${subject}`);

/** A policy of a level that is unknown here, or for nobody, is for no agent. */
function isAddressed(policy: Policy): boolean {
  return policy.level === 'org' || (isLevel(policy.level) && policy.subject !== '');
}

/** One of `LEVELS`? */
export function isLevel(value: string): value is Level {
  return (LEVELS as readonly string[]).includes(value);
}

function byPrecedence(a: Policy, b: Policy): number {
  return (
    b.priority - a.priority ||
    LEVELS.indexOf(a.level as Level) - LEVELS.indexOf(b.level as Level) ||
    (a.id < b.id ? -1 : 1)
  );
}

function compileRule(policy: Policy, rule: PolicyRule, index: number): Rule {
  const origin: RuleOrigin = {
    policy: policy.id,
    policyName: policy.name,
    level: policy.level as Level,
    rule: index,
    agents: rule.agents,
  };
  const { allowedTools, canSpawn, canMessage, canBeSpawned, maxSpawns } = rule;
  return {
    agents: new GlobPattern(foldName(rule.agents)),
    origin,
    spawn: canSpawn && new ListVerdict(origin, 'spawn', canSpawn.patterns),
    message: canMessage && new ListVerdict(origin, 'message', canMessage.patterns),
    tool: allowedTools && new ListVerdict(origin, 'tool', allowedTools.patterns),
    release: canSpawn && new ListVerdict(origin, 'release', canSpawn.patterns),
    spawnable: canBeSpawned === undefined ? undefined : spawnableVerdict(origin, canBeSpawned),
    spawnLimit: maxSpawns === undefined ? undefined : new SpawnLimit(origin, maxSpawns),
    rateLimit: rule.rateLimitPerMinute,
  };
}
