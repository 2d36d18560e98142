/** What a policy must be before it may be kept. */

import type { PatternList, Policy, PolicyRule } from '@fleetwire/gen/access';
import { type FieldViolation, lineViolation, textViolation } from '@fleetwire/kernel';
import { LEVELS } from './decision.ts';
import { isLevel } from './rule-book.ts';

/** Bounds of a policy; characters are counted as in a JavaScript string. */
export const POLICY_LIMITS = {
  nameChars: 100,
  descriptionChars: 2000,
  priorityMin: -1000,
  priorityMax: 1000,
  rules: 100,
  patterns: 100,
  patternChars: 100,
} as const;

const AGENT_PATTERN = /^[a-zA-Z0-9*?-]+$/;
const TOOL_PATTERN = /^[^\s\p{C}]+$/u;

/** All that does not fit, with paths as in the request; what is beyond a bound is not looked at. Empty: it is fine. */
export function checkPolicy(policy: Policy): FieldViolation[] {
  const found: FieldViolation[] = [];
  const say = (field: string, description: string) => found.push({ field: `policy.${field}`, description });

  checkSubject(policy, say);
  checkTexts(policy, say);
  const { priorityMin, priorityMax, rules } = POLICY_LIMITS;
  if (!Number.isInteger(policy.priority) || policy.priority < priorityMin || policy.priority > priorityMax)
    say('priority', `must be a whole number from ${priorityMin} to ${priorityMax}`);
  if (policy.rules.length === 0) say('rules', 'must have at least one rule');
  if (policy.rules.length > rules) say('rules', `must have at most ${rules} rules`);
  for (const [i, rule] of policy.rules.slice(0, rules).entries()) checkRule(rule, `rules[${i}]`, say);
  return found;
}

type Say = (field: string, description: string) => void;

function checkSubject({ level, subject }: Policy, say: Say): void {
  if (!isLevel(level)) say('level', `must be one of ${LEVELS.join(', ')}`);
  else if (level === 'org' && subject !== '') say('subject', 'must be empty at the level org');
  else if (level !== 'org' && subject === '') say('subject', `must be the id of a ${level}`);
}

function checkTexts({ name, description }: Policy, say: Say): void {
  const { nameChars, descriptionChars } = POLICY_LIMITS;
  for (const found of [
    lineViolation('name', name, nameChars),
    textViolation('description', description, descriptionChars),
  ])
    if (found) say(found.field, found.description);
}

function checkRule(rule: PolicyRule, at: string, say: Say): void {
  checkPattern(rule.agents, 'agent', `${at}.agents`, say);
  checkList(rule.allowedTools, 'tool', `${at}.allowed_tools`, say);
  checkList(rule.canSpawn, 'agent', `${at}.can_spawn`, say);
  checkList(rule.canMessage, 'agent', `${at}.can_message`, say);
  const { maxSpawns, rateLimitPerMinute } = rule;
  if (rateLimitPerMinute !== undefined && !(rateLimitPerMinute >= 1))
    say(
      `${at}.rate_limit_per_minute`,
      'must be at least 1; to forbid all messages set can_message to an empty list',
    );
  const speaks = [
    rule.allowedTools,
    rule.canSpawn,
    rule.canMessage,
    rule.canBeSpawned,
    maxSpawns,
    rateLimitPerMinute,
  ];
  if (speaks.every((matter) => matter === undefined))
    say(
      at,
      'says nothing: set one of allowed_tools, can_spawn, can_message, can_be_spawned, max_spawns, rate_limit_per_minute',
    );
}

type PatternKind = 'agent' | 'tool';

function checkList(list: PatternList | undefined, kind: PatternKind, at: string, say: Say): void {
  if (list === undefined) return;
  const max = POLICY_LIMITS.patterns;
  if (list.patterns.length > max) say(`${at}.patterns`, `must have at most ${max} patterns`);
  for (const [i, pattern] of list.patterns.slice(0, max).entries())
    checkPattern(pattern, kind, `${at}.patterns[${i}]`, say);
}

function checkPattern(pattern: string, kind: PatternKind, at: string, say: Say): void {
  const max = POLICY_LIMITS.patternChars;
  if (pattern === '') say(at, 'must not be empty');
  else if (pattern.length > max) say(at, `must have at most ${max} characters`);
  else if (kind === 'agent' && !AGENT_PATTERN.test(pattern))
    say(at, 'must consist of letters, digits, hyphens, * and ?');
  else if (kind === 'tool' && !TOOL_PATTERN.test(pattern))
    say(at, 'must consist of printable characters without spaces');
}
