/** The answers that one rule gives, each made once and shared. */

import { foldName, printable } from '@fleetwire/kernel';
import type { Decision, DecisionReason, Level } from './decision.ts';
import { GlobPattern } from './glob-pattern.ts';

/** Patterns that an explanation shows; of the others it says how many there are. */
const PATTERNS_SHOWN = 5;

/** Which rule of which policy. */
export interface RuleOrigin {
  /** Id of the policy. */
  readonly policy: string;
  readonly policyName: string;
  readonly level: Level;
  /** From 0. */
  readonly rule: number;
  /** Pattern of the agents that it is for, as written. */
  readonly agents: string;
}

export type ListedAction = 'spawn' | 'message' | 'tool' | 'release';

const WORDS: Readonly<
  Record<ListedAction, { readonly denied: DecisionReason; readonly verb: string; readonly noun: string }>
> = {
  spawn: { denied: 'SPAWN_DENIED', verb: 'spawn', noun: 'agent' },
  message: { denied: 'MESSAGE_DENIED', verb: 'message', noun: 'agent' },
  release: { denied: 'RELEASE_DENIED', verb: 'release', noun: 'agent' },
  tool: { denied: 'TOOL_DENIED', verb: 'use', noun: 'tool' },
};

/**
 * A list of patterns as the answer for one action. Names of agents are compared folded, those of tools exactly. What is
 * needed to answer is made when first needed: most rules of an org are never asked.
 */
export class ListVerdict {
  readonly #origin: RuleOrigin;
  readonly #action: ListedAction;
  readonly #sources: readonly string[];
  readonly #allowed: (Decision | undefined)[] = [];
  #patterns: readonly GlobPattern[] | undefined;
  #denied: Decision | undefined;

  constructor(origin: RuleOrigin, action: ListedAction, sources: readonly string[]) {
    this.#origin = origin;
    this.#action = action;
    this.#sources = [...sources];
  }

  /** `target`: folded unless it is a tool. */
  ask(target: string): Decision {
    const patterns = this.#patterns ?? this.#compile();
    for (let i = 0; i < patterns.length; i++) {
      if (!patterns[i]!.matches(target)) continue;
      const decision = this.#allowed[i] ?? this.#allow(this.#sources[i]!);
      this.#allowed[i] = decision;
      return decision;
    }
    this.#denied ??= this.#deny();
    return this.#denied;
  }

  #compile(): readonly GlobPattern[] {
    const exact = this.#action === 'tool';
    const patterns = this.#sources.map((source) => new GlobPattern(exact ? source : foldName(source)));
    this.#patterns = patterns;
    return patterns;
  }

  #allow(pattern: string): Decision {
    const { verb, noun } = WORDS[this.#action];
    const says = `lets ${theAgents(this.#origin)} ${verb} ${noun}s named "${printable(pattern)}"`;
    return decided(this.#origin, 'ALLOWED_BY_POLICY', says);
  }

  #deny(): Decision {
    const { denied, verb, noun } = WORDS[this.#action];
    const only = this.#sources.length === 0 ? `no ${noun}` : `only ${noun}s named ${either(this.#sources)}`;
    return decided(this.#origin, denied, `lets ${theAgents(this.#origin)} ${verb} ${only}`);
  }
}

/** A bound on the agents alive that one agent has spawned. */
export class SpawnLimit {
  readonly max: number;
  readonly origin: RuleOrigin;
  readonly #allowed: Decision;
  readonly #denied: Decision;

  constructor(origin: RuleOrigin, max: number) {
    this.max = max;
    this.origin = origin;
    const says = `lets ${theAgents(origin)} have at most ${max} agents alive each that they have spawned`;
    this.#allowed = decided(origin, 'ALLOWED_BY_POLICY', says);
    this.#denied = decided(origin, 'SPAWN_LIMIT', says);
  }

  /** May it spawn one more? What is no number is no permission. */
  ask(spawned: number): Decision {
    return spawned < this.max ? this.#allowed : this.#denied;
  }
}

/** May agents that the rule is for be spawned by others? */
export function spawnableVerdict(origin: RuleOrigin, may: boolean): Decision {
  const says = `says that ${theAgents(origin)} may ${may ? '' : 'not '}be spawned`;
  return decided(origin, may ? 'ALLOWED_BY_POLICY' : 'NOT_SPAWNABLE', says);
}

function decided(origin: RuleOrigin, reason: DecisionReason, says: string): Decision {
  const { level, policy, policyName, rule } = origin;
  return Object.freeze({
    allowed: reason === 'ALLOWED_BY_POLICY',
    reason,
    source: level,
    matchedPolicy: policy,
    matchedPolicyName: policyName,
    matchedRule: rule,
    explanation: `Rule ${rule + 1} of the ${level} policy "${printable(policyName)}" ${says}.`,
  });
}

const theAgents = (origin: RuleOrigin): string => `agents named "${printable(origin.agents)}"`;

function either(patterns: readonly string[]): string {
  const shown = patterns.slice(0, PATTERNS_SHOWN).map((pattern) => `"${printable(pattern)}"`);
  const more = patterns.length - shown.length;
  const last = more > 0 ? `${more} more` : shown.pop()!;
  return shown.length === 0 ? last : `${shown.join(', ')} or ${last}`;
}
