/** workspace list | create | update | reassign | delete | assign | unassign: whose agents work on which repositories. */

import type { Repository, Workspace, WorkspaceAgent } from '@fleetwire/gen/org';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { pages } from '../all-pages.ts';
import { oneOf, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { findMember, findWorkspace, MEMBER_OPTION, repoOf, userId, workspaceId } from '../lookup.ts';
import { workspaceDocument } from '../org-documents.ts';
import { minute, table, visible } from '../output.ts';
import { nothingToChange } from './org.ts';

const TIERS = ['small', 'medium', 'large', 'xlarge'];
const GIVEN_STATUSES = ['running', 'stopped', 'failed'];
const STATUSES = ['provisioning', ...GIVEN_STATUSES, 'suspended'];
const MAX_AGENTS = 1_000_000;

const collect = (text: string, before: readonly string[] = []) => [...before, text];
const BY_NAME = 'by its name or id';

export function addWorkspaceCommands(program: Command, action: Action): void {
  const workspace = program
    .command('workspace')
    .description('workspaces: repositories and the agents on them');
  workspace
    .command('list')
    .description('the workspaces of the org')
    .option('--status <status>', STATUSES.join(', '), oneOf('--status', STATUSES))
    .option(...MEMBER_OPTION)
    .action(action(list));
  withShape(
    workspace.command('create').description('make a workspace of your own').argument('<name>'),
  ).action(action(create));
  withShape(workspace.command('update').description('change a workspace').argument('<workspace>', BY_NAME))
    .option('--name <name>')
    .option('--status <status>', GIVEN_STATUSES.join(', '), oneOf('--status', GIVEN_STATUSES))
    .option('--no-repos', 'leave it without repositories')
    .action(action(update));
  workspace
    .command('reassign')
    .description('give a workspace to another member; a suspended one runs again')
    .argument('<workspace>', BY_NAME)
    .argument('<member>', 'by e-mail address or id')
    .action(action(reassign));
  workspace
    .command('delete')
    .description('delete a workspace; its agents are free again')
    .argument('<workspace>', BY_NAME)
    .action(action(remove));
  workspace
    .command('assign')
    .description('assign an agent to a workspace')
    .argument('<workspace>', BY_NAME)
    .argument('<agent>', 'by its name')
    .option('--repo <url>', 'only to this repository of it, by URL or id')
    .action(action(assign));
  workspace
    .command('unassign')
    .description('end the assignment of an agent')
    .argument('<agent>', 'by its name')
    .action(action(unassign));
}

function withShape(command: Command): Command {
  return command
    .option('--repo <url>', 'a repository of it, URL or URL#BRANCH; once for each, and all of them', collect)
    .option('--tier <tier>', TIERS.join(', '), oneOf('--tier', TIERS))
    .option(
      '--max-agents <n>',
      'agents that may be assigned to it; 0: as many as the plan allows',
      wholeNumber('--max-agents', 0, MAX_AGENTS),
    );
}

interface ShapeOptions {
  readonly repo?: readonly string[];
  readonly tier?: string;
  readonly maxAgents?: number;
}

/** `URL` or `URL#BRANCH`. */
export function repository(text: string): Repository {
  const hash = text.lastIndexOf('#');
  const [url, defaultBranch] = hash === -1 ? [text, ''] : [text.slice(0, hash), text.slice(hash + 1)];
  return { id: '', url, defaultBranch };
}

async function list(context: CommandContext, options: { status?: string; member?: string }): Promise<void> {
  const { door } = await context.orgDoor();
  const { status = '', member } = options;
  const user = await userId(door, member);
  const workspaces: Workspace[] = [];
  const agents: WorkspaceAgent[] = [];
  for await (const page of pages((at) => door.listWorkspaces({ status, user, ...at }))) {
    workspaces.push(...page.workspaces);
    agents.push(...page.agents);
  }
  const documents = workspaces.map((each) => workspaceDocument(each, agents));
  context.output.result({ workspaces: documents }, () =>
    workspaces.length === 0
      ? 'no workspaces yet; make one with: fleetwire workspace create NAME'
      : table(
          ['NAME', 'STATUS', 'TIER', 'AGENTS', 'REPOSITORIES', 'USER', 'ID'],
          workspaces.map((w) => [
            w.name,
            w.status === 'suspended' ? `suspended, kept until ${minute(w.graceUntilMs)}` : w.status,
            w.resourceTier,
            w.maxAgents === 0 ? String(w.agents) : `${w.agents} of ${w.maxAgents}`,
            String(w.repositories.length),
            w.user,
            w.id,
          ]),
        ),
  );
}

async function create(context: CommandContext, options: ShapeOptions, name: string): Promise<void> {
  const { door } = await context.orgDoor();
  const { repo = [], tier = '', maxAgents = 0 } = options;
  const repositories = repo.map(repository);
  const made = await door.createWorkspace({ name, repositories, resourceTier: tier, maxAgents });
  tell(context, made.workspace!);
}

function tell(context: CommandContext, workspace: Workspace): void {
  const { name, id, status, resourceTier, repositories } = workspace;
  context.output.result({ workspace: workspaceDocument(workspace, []) }, () => [
    `${visible(name)} (${id}): ${status}, ${resourceTier}`,
    ...repositories.map(({ url, defaultBranch }) => `  ${visible(url)} ${visible(defaultBranch)}`.trimEnd()),
  ]);
}

interface UpdateOptions extends ShapeOptions {
  readonly name?: string;
  readonly status?: string;
  readonly repos: boolean;
}

async function update(context: CommandContext, options: UpdateOptions, wanted: string): Promise<void> {
  const { name, status, tier, maxAgents } = options;
  const repo = options.repos ? options.repo : [];
  if ([name, status, tier, maxAgents, repo].every((given) => given === undefined))
    throw nothingToChange('--name, --status, --tier, --max-agents, --repo, --no-repos');
  const { door } = await context.orgDoor();
  const { id, version } = await findWorkspace(door, wanted);
  const list = repo === undefined ? {} : { repositories: { repositories: repo.map(repository) } };
  const changes = { name, status, resourceTier: tier, maxAgents, ...list };
  tell(context, (await door.updateWorkspace({ id, version, ...changes })).workspace!);
}

async function reassign(
  context: CommandContext,
  _options: object,
  wanted: string,
  member: string,
): Promise<void> {
  const { door } = await context.orgDoor();
  const id = await workspaceId(door, wanted);
  const { user, email } = await findMember(door, member);
  const { workspace } = await door.reassignWorkspace({ id, user });
  context.output.result({ workspace: workspaceDocument(workspace!, []) }, () => [
    `${visible(workspace!.name)} belongs to ${visible(email)} now and is ${workspace!.status}`,
  ]);
}

async function remove(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const { door } = await context.orgDoor();
  const id = await workspaceId(door, wanted);
  await door.deleteWorkspace({ id });
  context.output.result({ id, deleted: true }, () => `${visible(wanted)} is deleted`);
}

async function assign(
  context: CommandContext,
  options: { repo?: string },
  wanted: string,
  agent: string,
): Promise<void> {
  const { door } = await context.orgDoor();
  const workspace = await findWorkspace(door, wanted);
  const repo = options.repo === undefined ? '' : repoOf(workspace, options.repo);
  await door.assignAgent({ workspace: workspace.id, repo, agent });
  const where = options.repo === undefined ? workspace.name : `${workspace.name}, ${options.repo}`;
  context.output.result({ agent, workspace: workspace.id, repo: repo || null }, () => [
    `${visible(agent)} is assigned to ${visible(where)}`,
  ]);
}

async function unassign(context: CommandContext, _options: object, agent: string): Promise<void> {
  const { door } = await context.orgDoor();
  await door.unassignAgent({ agent });
  context.output.result({ agent }, () => `${visible(agent)} is assigned to nothing now`);
}
