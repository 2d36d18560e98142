/** The order of decision, once more and as plainly as it can be said: nothing compiled, nothing remembered. */

import type { OrgState, Policy, PolicyRule } from '@fleetwire/gen/access';
import type { Question } from '../src/index.ts';

export interface Outcome {
  allowed: boolean;
  reason: string;
  source: string;
  matchedPolicy: string;
  matchedRule: number;
}

interface Found {
  policy: Policy;
  index: number;
  rule: PolicyRule;
}

const ORDER = ['org', 'user', 'workspace', 'repo'];

function glob(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*')
    return glob(pattern.slice(1), text) || (text !== '' && glob(pattern, text.slice(1)));
  return (
    text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && glob(pattern.slice(1), text.slice(1))
  );
}

const nameFits = (pattern: string, name: string) => glob(pattern.toLowerCase(), name.toLowerCase());

/** The first rule for this agent of which `speaks` is true. */
export function firstRule(
  state: OrgState,
  agent: string,
  user: string | undefined,
  speaks: (rule: PolicyRule) => boolean,
): Found | undefined {
  const assigned = state.assignments.find((a) => a.agent.toLowerCase() === agent.toLowerCase());
  const applies = (policy: Policy): boolean => {
    if (policy.disabled) return false;
    if (policy.level === 'org') return true;
    if (policy.subject === '') return false;
    if (policy.level === 'user') return policy.subject === (user || assigned?.user);
    if (policy.level === 'workspace') return policy.subject === assigned?.workspace;
    if (policy.level === 'repo') return policy.subject === assigned?.repo;
    return false;
  };
  let best: Policy | undefined;
  let found: Found | undefined;
  for (const policy of state.policies) {
    if (!applies(policy) || (best && !isBefore(policy, best))) continue;
    const index = policy.rules.findIndex((rule) => nameFits(rule.agents, agent) && speaks(rule));
    if (index === -1) continue;
    best = policy;
    found = { policy, index, rule: policy.rules[index]! };
  }
  return found;
}

function isBefore(a: Policy, b: Policy): boolean {
  if (a.priority !== b.priority) return a.priority > b.priority;
  if (a.level !== b.level) return ORDER.indexOf(a.level) < ORDER.indexOf(b.level);
  return a.id < b.id;
}

function outcome(found: Found, allowed: boolean, denial: string): Outcome {
  return {
    allowed,
    reason: allowed ? 'ALLOWED_BY_POLICY' : denial,
    source: found.policy.level,
    matchedPolicy: found.policy.id,
    matchedRule: found.index,
  };
}

export function naiveDecision(state: OrgState, q: Question): Outcome {
  const none = { matchedPolicy: '', matchedRule: -1 };
  if (state.status !== 'active') return { allowed: false, reason: 'ORG_CLOSED', source: 'org', ...none };
  const said: (Outcome | undefined)[] = [];
  const first = (speaks: (rule: PolicyRule) => boolean) => firstRule(state, q.actor, q.actorUser, speaks);

  if (q.action === 'message') {
    const found = first((rule) => rule.canMessage !== undefined);
    const fits = found?.rule.canMessage?.patterns.some((p) => nameFits(p, q.target)) === true;
    said.push(found && outcome(found, fits, 'MESSAGE_DENIED'));
  }
  if (q.action === 'tool') {
    const found = first((rule) => rule.allowedTools !== undefined);
    const fits = found?.rule.allowedTools?.patterns.some((p) => glob(p, q.target)) === true;
    said.push(found && outcome(found, fits, 'TOOL_DENIED'));
  }
  if (q.action === 'spawn' || q.action === 'release') {
    const found = first((rule) => rule.canSpawn !== undefined);
    const fits = found?.rule.canSpawn?.patterns.some((p) => nameFits(p, q.target)) === true;
    said.push(found && outcome(found, fits, q.action === 'spawn' ? 'SPAWN_DENIED' : 'RELEASE_DENIED'));
  }
  if (q.action === 'spawn') {
    const bounded = first((rule) => rule.maxSpawns !== undefined);
    said.push(bounded && outcome(bounded, (q.spawned ?? 0) < bounded.rule.maxSpawns!, 'SPAWN_LIMIT'));
    const may = firstRule(state, q.target, q.targetUser, (rule) => rule.canBeSpawned !== undefined);
    said.push(may && outcome(may, may.rule.canBeSpawned!, 'NOT_SPAWNABLE'));
  }
  const spoke = said.filter((one) => one !== undefined);
  const byDefault = { allowed: true, reason: 'ALLOWED_BY_DEFAULT', source: 'default', ...none };
  return spoke.find((one) => !one.allowed) ?? spoke[0] ?? byDefault;
}
