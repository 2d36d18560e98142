/** policy list | create | update | delete: what agents may do. */

import { Policy } from '@fleetwire/gen/access';
import { FleetwireError } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { either, oneOf, wholeNumber, wordsOrNone } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import type { OrgClient } from '../hub.ts';
import { allPolicies, findPolicy, repoId, userId, workspaceId } from '../lookup.ts';
import { table, visible } from '../output.ts';
import { policyDocument, readPolicyFile, ruleOf, ruleWords } from '../policy-document.ts';
import { addPolicyTestCommand } from './policy-test.ts';

const LEVELS = ['org', 'user', 'workspace', 'repo'];
const COUNT_MAX = 1_000_000;
const BY_NAME = 'by its name or id';

export function addPolicyCommands(program: Command, action: Action): void {
  const policy = program.command('policy').description('policies: what agents may do');
  policy
    .command('list')
    .description('all policies, those that decide first on top')
    .option('--level <level>', LEVELS.join(', '), oneOf('--level', LEVELS))
    .action(action(list));
  addCreateCommand(policy, action);
  policy
    .command('update')
    .description('put what a file says in the place of a policy; its level and subject stay')
    .argument('<policy>', BY_NAME)
    .requiredOption('--file <file>', 'a policy as `policy list --json` shows it')
    .action(action(update));
  policy
    .command('delete')
    .argument('<policy>', BY_NAME)
    .description('delete a policy')
    .action(action(remove));
  addPolicyTestCommand(policy, action);
}

function addCreateCommand(policy: Command, action: Action): void {
  policy
    .command('create')
    .description('make a policy of a file, or of one rule given by options')
    .option('--file <file>', 'a policy as `policy list --json` shows it')
    .option('--name <name>')
    .option('--level <level>', `${LEVELS.join(', ')}; org when left out`, oneOf('--level', LEVELS))
    .option('--subject <whom>', 'whom it is for: a member, a workspace or a repository')
    .option(
      '--priority <n>',
      'the higher one decides; 0 when left out',
      wholeNumber('--priority', -1000, 1000),
    )
    .option('--agents <pattern>', 'for agents of these names, such as qa-*; all when left out')
    .option('--can-message <patterns>', 'whom they may message, between commas, or none', wordsOrNone)
    .option('--can-spawn <patterns>', 'whom they may spawn, or none', wordsOrNone)
    .option('--allow-tools <patterns>', 'tools that they may use, or none', wordsOrNone)
    .option('--can-be-spawned <yes|no>', 'by other agents', either('--can-be-spawned', 'yes', 'no'))
    .option('--max-spawns <n>', 'alive at a time', wholeNumber('--max-spawns', 0, COUNT_MAX))
    .option('--rate <n>', 'messages a minute', wholeNumber('--rate', 1, COUNT_MAX))
    .action(action(create));
}

interface CreateOptions {
  readonly file?: string;
  readonly name?: string;
  readonly level?: string;
  readonly subject?: string;
  readonly priority?: number;
  readonly agents?: string;
  readonly canMessage?: readonly string[];
  readonly canSpawn?: readonly string[];
  readonly allowTools?: readonly string[];
  readonly canBeSpawned?: boolean;
  readonly maxSpawns?: number;
  readonly rate?: number;
}

async function list(context: CommandContext, options: { level?: string }): Promise<void> {
  const { door } = await context.orgDoor();
  const { level = '' } = options;
  const policies = (await allPolicies(door, { level })).sort(byRank);
  context.output.result({ policies: policies.map(policyDocument) }, () =>
    policies.length === 0
      ? 'no policies: everything is allowed'
      : table(
          ['PRIORITY', 'LEVEL', 'NAME', 'ID', 'RULES'],
          policies.map((p) => [
            String(p.priority),
            p.subject === '' ? p.level : `${p.level} ${p.subject}`,
            p.disabled ? `${p.name} (disabled)` : p.name,
            p.id,
            summary(p),
          ]),
        ),
  );
}

const summary = ({ rules }: Policy) =>
  rules.length > 1 ? `${ruleWords(rules[0]!)} (and ${rules.length - 1} more)` : rules.map(ruleWords).join('');

/** As decisions go through them. */
const byRank = (a: Policy, b: Policy) =>
  b.priority - a.priority || LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level) || (a.id < b.id ? -1 : 1);

async function create(context: CommandContext, options: CreateOptions): Promise<void> {
  const policy = options.file === undefined ? policyOfOptions(options) : await ofFile(options.file, options);
  const { door } = await context.orgDoor();
  const subject = await subjectId(door, policy);
  const made = await door.createPolicy({ policy: { ...policy, subject } });
  tell(context, made.policy!);
}

async function ofFile(file: string, options: CreateOptions): Promise<Policy> {
  const others = Object.keys(ruleOptions(options)).length;
  const { name, level, subject, priority } = options;
  if (others > 0 || [name, level, subject, priority].some((given) => given !== undefined))
    throw new FleetwireError('invalid_argument', 'INVALID_USAGE', '--file says all of the policy', {
      help: 'Leave the other options out.',
    });
  return readPolicyFile(file);
}

function ruleOptions({
  agents,
  canMessage,
  canSpawn,
  allowTools,
  canBeSpawned,
  maxSpawns,
  rate,
}: CreateOptions) {
  const given = {
    agents,
    can_message: canMessage?.slice(),
    can_spawn: canSpawn?.slice(),
    allowed_tools: allowTools?.slice(),
    can_be_spawned: canBeSpawned,
    max_spawns: maxSpawns,
    rate_limit_per_minute: rate,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** One rule; whether it says anything, and all else, the service checks. */
export function policyOfOptions(options: CreateOptions): Policy {
  const { name = '', level = 'org', subject = '', priority = 0 } = options;
  return Policy.fromPartial({ name, level, subject, priority, rules: [ruleOf(ruleOptions(options))] });
}

/** People name the subject; the service wants its id. */
async function subjectId(door: OrgClient, { level, subject }: Policy): Promise<string> {
  if (subject === '') return '';
  if (level === 'user') return userId(door, subject);
  if (level === 'workspace') return workspaceId(door, subject);
  return level === 'repo' ? repoId(door, subject) : subject;
}

function tell(context: CommandContext, policy: Policy): void {
  const { name, id, level, priority, rules } = policy;
  context.output.result({ policy: policyDocument(policy) }, () => [
    `${visible(name)} (${id}), level ${level}, priority ${priority}`,
    ...rules.map((rule) => `  ${visible(ruleWords(rule))}`),
  ]);
}

async function update(context: CommandContext, options: { file: string }, wanted: string): Promise<void> {
  const policy = await readPolicyFile(options.file);
  const { door } = await context.orgDoor();
  const { id, version } = await findPolicy(door, wanted);
  // A file that was listed says which version it was made of.
  const change = { ...policy, id, version: policy.version || version };
  tell(context, (await door.updatePolicy({ policy: change })).policy!);
}

async function remove(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const { door } = await context.orgDoor();
  const { id, name } = await findPolicy(door, wanted);
  await door.deletePolicy({ id });
  context.output.result({ id, deleted: true }, () => `${visible(name)} is deleted`);
}
