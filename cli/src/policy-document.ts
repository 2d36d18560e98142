/** Policies as documents: what `policy list --json` prints is what `--file` takes. */

import { z } from '@fleetwire/config';
import { PatternList, Policy, type PolicyRule } from '@fleetwire/gen/access';
import { FleetwireError } from '@fleetwire/kernel';
import { readText } from './files.ts';
import { isoOrNull } from './output.ts';

const FILE_BYTES_MAX = 1_048_576;

const patterns = z.array(z.string()).optional();

const ruleShape = z.strictObject({
  agents: z.string().default('*'),
  allowed_tools: patterns,
  can_spawn: patterns,
  can_message: patterns,
  can_be_spawned: z.boolean().optional(),
  max_spawns: z.int().min(0).optional(),
  rate_limit_per_minute: z.int().min(0).optional(),
});

const policyShape = z.strictObject({
  name: z.string(),
  description: z.string().default(''),
  level: z.string().default('org'),
  subject: z.string().default(''),
  priority: z.int().default(0),
  disabled: z.boolean().default(false),
  rules: z.array(ruleShape),
  id: z.string().default(''),
  /** The one that was read; 0: whichever there is. */
  version: z.int().min(0).default(0),
  // As listed; the service knows better.
  created_by: z.unknown().optional(),
  created_at: z.unknown().optional(),
  updated_at: z.unknown().optional(),
});

type Rule = z.output<typeof ruleShape>;

const list = (given: readonly string[] | undefined) =>
  given === undefined ? undefined : PatternList.fromPartial({ patterns: [...given] });

/** A rule, speaking only of what is given. */
export function ruleOf(rule: Partial<Rule>): PolicyRule {
  return {
    agents: rule.agents ?? '*',
    allowedTools: list(rule.allowed_tools),
    canSpawn: list(rule.can_spawn),
    canMessage: list(rule.can_message),
    canBeSpawned: rule.can_be_spawned,
    maxSpawns: rule.max_spawns,
    rateLimitPerMinute: rule.rate_limit_per_minute,
  };
}

/** Reads `text` as a policy. Throws invalid_argument INVALID_POLICY_FILE with all that does not fit. */
export function parsePolicy(text: string, from: string): Policy {
  const given = policyShape.safeParse(jsonOf(text, from));
  if (!given.success) {
    const violations = given.error.issues.map(({ path, message }) => ({
      field: pathText(path),
      description: message,
    }));
    throw new FleetwireError('invalid_argument', 'INVALID_POLICY_FILE', `${from} holds no policy`, {
      help: 'Write it as `fleetwire policy list --json` shows one.',
      violations,
    });
  }
  const { id, name, description, level, subject, priority, disabled, version, rules } = given.data;
  const known = { id, name, description, level, subject, priority, disabled, version };
  return Policy.fromPartial({ ...known, rules: rules.map(ruleOf) });
}

/** As `parsePolicy` and `readText`. */
export async function readPolicyFile(file: string): Promise<Policy> {
  return parsePolicy(await readText(file, FILE_BYTES_MAX), file);
}

function jsonOf(text: string, from: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FleetwireError('invalid_argument', 'INVALID_POLICY_FILE', `${from} is not JSON`, {
      help: 'Write it as `fleetwire policy list --json` shows one.',
      cause,
    });
  }
}

/** `rules[0].agents`. */
function pathText(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text.replace(/^\./, '') || 'policy';
}

export function policyDocument(policy: Policy): object {
  return {
    id: policy.id,
    name: policy.name,
    description: policy.description,
    level: policy.level,
    subject: policy.subject,
    priority: policy.priority,
    disabled: policy.disabled,
    rules: policy.rules.map(ruleDocument),
    version: policy.version,
    created_by: policy.createdBy,
    created_at: isoOrNull(policy.createdAtMs),
    updated_at: isoOrNull(policy.updatedAtMs),
  };
}

/** Only what the rule speaks of. */
function ruleDocument(rule: PolicyRule): object {
  const given = {
    agents: rule.agents,
    allowed_tools: rule.allowedTools?.patterns,
    can_spawn: rule.canSpawn?.patterns,
    can_message: rule.canMessage?.patterns,
    can_be_spawned: rule.canBeSpawned,
    max_spawns: rule.maxSpawns,
    rate_limit_per_minute: rule.rateLimitPerMinute,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** A rule in words for a table, such as `qa-*: may message lead`. */
export function ruleWords(rule: PolicyRule): string {
  const among = (verb: string, given: PatternList | undefined, nobody: string) =>
    given === undefined
      ? []
      : [`${verb} ${given.patterns.length === 0 ? nobody : given.patterns.join(', ')}`];
  const { canBeSpawned, maxSpawns, rateLimitPerMinute } = rule;
  const says = [
    ...among('may message', rule.canMessage, 'nobody'),
    ...among('may spawn', rule.canSpawn, 'nobody'),
    ...among('may use', rule.allowedTools, 'no tools'),
    ...(canBeSpawned === undefined ? [] : [canBeSpawned ? 'may be spawned' : 'may not be spawned']),
    ...(maxSpawns === undefined ? [] : [`at most ${maxSpawns} spawned`]),
    ...(rateLimitPerMinute === undefined ? [] : [`at most ${rateLimitPerMinute} messages a minute`]),
  ];
  return `${rule.agents}: ${says.join('; ')}`;
}
