/** CreateWorkspace, ListWorkspaces, UpdateWorkspace, ReassignWorkspace, DeleteWorkspace. */

import type {
  CreateWorkspaceRequest,
  CreateWorkspaceResponse,
  DeleteWorkspaceRequest,
  DeleteWorkspaceResponse,
  ListWorkspacesRequest,
  ListWorkspacesResponse,
  ReassignWorkspaceRequest,
  ReassignWorkspaceResponse,
  UpdateWorkspaceRequest,
  UpdateWorkspaceResponse,
} from '@fleetwire/gen/org';
import { FleetwireError, newId, printable } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { refuseOverLimit } from '../domain/plan-limits.ts';
import { checkWorkspace, workspaceSuspended } from '../domain/workspaces.ts';
import { memberCount } from '../store/orgs.ts';
import {
  assignmentsOf,
  setRepos,
  shownWorkspace,
  type WorkspaceRecord,
  workspaceById,
  workspaceCount,
  workspacesOf,
} from '../store/workspaces.ts';
import { type Act, type Call, change, look } from './act.ts';
import { knownMember } from './members.ts';
import { repeatedIn } from './once.ts';
import type { OrgParts } from './parts.ts';
import { unlessTaken } from './taken.ts';
import { checkVersion } from './versions.ts';

export function createWorkspace(
  parts: OrgParts,
  request: CreateWorkspaceRequest,
  call: Call,
): Promise<CreateWorkspaceResponse> {
  const resourceTier = request.resourceTier === '' ? 'small' : request.resourceTier;
  checkWorkspace({ ...request, resourceTier });
  const work = async (act: Act) => {
    const { query, org, nowMs, actor } = act;
    const id = newId('workspace');
    const earlier = await repeatedIn(act, request, async () => {
      refuseOverLimit(
        org,
        await memberCount(query, org.id),
        'workspaces',
        await workspaceCount(query, org.id),
      );
      await query(
        `insert into workspaces (id, org, user_id, name, status, max_agents, resource_tier, created_at_ms, version)
         values ($1, $2, $3, $4, 'running', $5, $6, $7, 1)`,
        [id, org.id, actor, request.name, request.maxAgents, resourceTier, nowMs],
      );
      await setRepos(query, org.id, id, request.repositories);
      return id;
    });
    act.about(earlier ?? id, { name: request.name });
    if (earlier === undefined) await act.tell('workspace_created', id);
    const made = await workspaceById(query, org.id, earlier ?? id);
    // A repetition may come when it is gone already.
    if (made === undefined) throw workspaceUnknown();
    return { workspace: shownWorkspace(made) };
  };
  return namedOnce(request.name, () => change(parts, 'createWorkspace', call, request.org, work));
}

export function listWorkspaces(
  parts: OrgParts,
  request: ListWorkspacesRequest,
  call: Call,
): Promise<ListWorkspacesResponse> {
  const { size, after } = readPage(request);
  return look(parts, 'listWorkspaces', call, request.org, async ({ query, org }) => {
    const { status, user } = request;
    const rows = await workspacesOf(query, org.id, { after, status, user, limit: size + 1 });
    const { shown, nextPageToken } = cutPage(rows, size, (row) => row.id);
    const agents = await assignmentsOf(query, org.id, { workspaces: shown.map(({ id }) => id) });
    return {
      workspaces: shown.map(shownWorkspace),
      nextPageToken,
      agents: agents.map((row) => ({
        agent: row.agent_name,
        workspace: row.workspace,
        repo: row.repo ?? '',
      })),
    };
  });
}

export function updateWorkspace(
  parts: OrgParts,
  request: UpdateWorkspaceRequest,
  call: Call,
): Promise<UpdateWorkspaceResponse> {
  const { name, status, maxAgents, resourceTier } = request;
  const repositories = request.repositories?.repositories;
  checkWorkspace({ name, status, maxAgents, resourceTier, repositories });
  const work = async (act: Act) => {
    const { query, org } = act;
    const before = await ownWorkspace(act, request.id);
    checkVersion(request.version, before.version);
    if (before.status === 'suspended' && status !== undefined) throw workspaceSuspended(before.name);
    if (repositories !== undefined) await replaceRepos(act, before, repositories);
    await query(
      `update workspaces set name = $2, status = $3, max_agents = $4, resource_tier = $5, version = version + 1
       where id = $1`,
      [
        before.id,
        name ?? before.name,
        status ?? before.status,
        maxAgents ?? before.max_agents,
        resourceTier ?? before.resource_tier,
      ],
    );
    await act.tell('workspace_updated', before.id);
    return { workspace: shownWorkspace((await workspaceById(query, org.id, before.id))!) };
  };
  return namedOnce(name ?? '', () => change(parts, 'updateWorkspace', call, request.org, work));
}

async function replaceRepos(
  act: Act,
  workspace: WorkspaceRecord,
  wanted: NonNullable<UpdateWorkspaceRequest['repositories']>['repositories'],
): Promise<void> {
  const { query, org } = act;
  const kept = new Set(wanted.map(({ url }) => url));
  const going = workspace.repos.filter(({ url }) => !kept.has(url)).map(({ id }) => id);
  const used = (await assignmentsOf(query, org.id, { workspaces: [workspace.id] })).find(
    ({ repo }) => repo !== null && going.includes(repo),
  );
  if (used !== undefined)
    throw new FleetwireError(
      'failed_precondition',
      'REPO_IN_USE',
      `${used.agent_name} is assigned to a repository that would go`,
      {
        help: 'Assign the agent elsewhere first.',
        details: { agent: used.agent_name, repo: used.repo! },
      },
    );
  const gone = await setRepos(query, org.id, workspace.id, wanted);
  await query(`delete from policies where org = $1 and level = 'repo' and subject = any($2)`, [org.id, gone]);
}

export function reassignWorkspace(
  parts: OrgParts,
  request: ReassignWorkspaceRequest,
  call: Call,
): Promise<ReassignWorkspaceResponse> {
  return change(parts, 'reassignWorkspace', call, request.org, async (act) => {
    const { query, org } = act;
    const before = await ownWorkspace(act, request.id);
    act.about(before.id, { user: request.user });
    await knownMember(act, request.user);
    await query(
      `update workspaces set user_id = $2, status = coalesce(status_before, status), status_before = null,
       suspended_at_ms = null, version = version + 1 where id = $1`,
      [before.id, request.user],
    );
    await act.tell('workspace_reassigned', before.id, { user: request.user });
    return { workspace: shownWorkspace((await workspaceById(query, org.id, before.id))!) };
  });
}

/** Its agents are free again, its policies go. */
export function deleteWorkspace(
  parts: OrgParts,
  request: DeleteWorkspaceRequest,
  call: Call,
): Promise<DeleteWorkspaceResponse> {
  return change(parts, 'deleteWorkspace', call, request.org, async (act) => {
    const { query, org, nowMs } = act;
    const { id, repos } = await ownWorkspace(act, request.id);
    await query('delete from assignments where workspace = $1', [id]);
    await query(
      `delete from policies where org = $1 and (level = 'workspace' and subject = $2 or level = 'repo' and subject = any($3))`,
      [org.id, id, repos.map((repo) => repo.id)],
    );
    await query('update workspaces set deleted_at_ms = $2, version = version + 1 where id = $1', [id, nowMs]);
    await act.tell('workspace_deleted', id);
    return {};
  });
}

/** The workspace, when the caller may act on it. Throws WORKSPACE_UNKNOWN, ROLE_TOO_LOW. */
export async function ownWorkspace(act: Act, id: string): Promise<WorkspaceRecord> {
  act.about(id);
  const workspace = await workspaceById(act.query, act.org.id, id);
  if (workspace === undefined) throw workspaceUnknown();
  act.mustOwn(workspace.user_id);
  return workspace;
}

function workspaceUnknown(): FleetwireError {
  return new FleetwireError('not_found', 'WORKSPACE_UNKNOWN', 'there is no such workspace in your org', {
    help: 'List the workspaces; the id begins with w_.',
  });
}

const namedOnce = <T>(name: string, work: () => Promise<T>): Promise<T> =>
  unlessTaken('workspaces_name', () => nameTaken(name), work);

function nameTaken(name: string): FleetwireError {
  return new FleetwireError(
    'already_exists',
    'WORKSPACE_NAME_TAKEN',
    `the org has a workspace "${printable(name)}"`,
    { help: 'Choose another name.' },
  );
}
