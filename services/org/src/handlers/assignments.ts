/** AssignAgent, UnassignAgent: which workspace, and which of its repositories, an agent works in. */

import type {
  AssignAgentRequest,
  AssignAgentResponse,
  UnassignAgentRequest,
  UnassignAgentResponse,
} from '@fleetwire/gen/org';
import { checkName, FleetwireError, foldName } from '@fleetwire/kernel';
import { refuseOverLimit } from '../domain/plan-limits.ts';
import { workspaceSuspended } from '../domain/workspaces.ts';
import { countOf, memberCount } from '../store/orgs.ts';
import { assignmentsOf } from '../store/workspaces.ts';
import { type Act, type Call, change } from './act.ts';
import type { OrgParts } from './parts.ts';
import { ownWorkspace } from './workspaces.ts';

/** Moves an agent that is assigned elsewhere. */
export function assignAgent(
  parts: OrgParts,
  request: AssignAgentRequest,
  call: Call,
): Promise<AssignAgentResponse> {
  checkName(request.agent, 'agent');
  return change(parts, 'assignAgent', call, request.org, async (act) => {
    const { query, org, nowMs, actor } = act;
    const workspace = await ownWorkspace(act, request.workspace);
    if (workspace.status === 'suspended') throw workspaceSuspended(workspace.name);
    if (request.repo !== '' && !workspace.repos.some(({ id }) => id === request.repo)) throw repoUnknown();
    const agent = foldName(request.agent);
    const present = await placeOf(act, agent);
    if (present === undefined) await refuseTooMany(parts, act);
    if (present !== workspace.id) refuseFull(workspace);
    await query(
      `insert into assignments (org, agent, agent_name, workspace, repo, assigned_by, assigned_at_ms)
       values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (org, agent) do update set workspace = excluded.workspace, repo = excluded.repo,
         agent_name = excluded.agent_name, assigned_by = excluded.assigned_by, assigned_at_ms = excluded.assigned_at_ms`,
      [org.id, agent, request.agent, workspace.id, request.repo === '' ? null : request.repo, actor, nowMs],
    );
    act.about(workspace.id, { agent: request.agent, repo: request.repo });
    await act.tell('agent_assigned', workspace.id, { agent, repo: request.repo });
    return {};
  });
}

export function unassignAgent(
  parts: OrgParts,
  request: UnassignAgentRequest,
  call: Call,
): Promise<UnassignAgentResponse> {
  checkName(request.agent, 'agent');
  return change(parts, 'unassignAgent', call, request.org, async (act) => {
    const agent = foldName(request.agent);
    const workspace = await placeOf(act, agent);
    if (workspace === undefined)
      throw new FleetwireError('not_found', 'AGENT_NOT_ASSIGNED', 'this agent is assigned to no workspace');
    await act.query('delete from assignments where org = $1 and agent = $2', [act.org.id, agent]);
    act.about(workspace, { agent });
    await act.tell('agent_unassigned', workspace, { agent });
    return {};
  });
}

/** The workspace in which the agent is now; undefined: in none. */
async function placeOf(act: Act, agent: string): Promise<string | undefined> {
  const present = (await assignmentsOf(act.query, act.org.id, { agent }))[0];
  return present?.workspace;
}

/** All assignments travel with the org's state. Throws PLAN_LIMIT, ASSIGNMENT_LIMIT. */
async function refuseTooMany(parts: OrgParts, { query, org }: Act): Promise<void> {
  const count = await countOf(query, 'assignments where org = $1', [org.id]);
  refuseOverLimit(org, await memberCount(query, org.id), 'agents', count);
  const { max_assignments: max } = parts.config;
  if (count < max) return;
  throw new FleetwireError('resource_exhausted', 'ASSIGNMENT_LIMIT', `the org has assigned ${max} agents`, {
    help: 'Unassign agents that are gone.',
  });
}

function refuseFull(workspace: {
  readonly name: string;
  readonly max_agents: number;
  readonly agents: number;
}): void {
  if (workspace.max_agents === 0 || workspace.agents < workspace.max_agents) return;
  throw new FleetwireError(
    'resource_exhausted',
    'WORKSPACE_FULL',
    `the workspace "${workspace.name}" takes ${workspace.max_agents} agents`,
    { help: 'Raise its max_agents, or assign the agent elsewhere.' },
  );
}

function repoUnknown(): FleetwireError {
  return new FleetwireError('not_found', 'REPO_UNKNOWN', 'the workspace has no such repository', {
    help: 'List the workspaces to see their repositories; the id begins with r_.',
  });
}
