/** RenameAgent: another name for the same agent; whoever had mail under way to it still reaches it. */

import type { OrgAccess } from '@fleetwire/access';
import type { RenameAgentRequest, RenameAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { checkName, FleetwireError, foldName } from '@fleetwire/kernel';
import { requireActing } from '../domain/agent-callers.ts';
import { agentAssigned } from '../domain/agent-errors.ts';
import { agentUnknown, notTheOwner } from '../domain/errors.ts';
import { requireOpen } from '../domain/orgs.ts';
import { named, nearest, shownAgent } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';
import { takenBy } from './placing.ts';

/** The name may be taken and freed, or the agent moved, between two looks. */
const TRIES = 3;

/**
 * Idempotent. Throws NAME_TAKEN, UNKNOWN_AGENT, NOT_THE_OWNER, INVALID_NAME, WORKSPACE_SUSPENDED, AGENT_ASSIGNED,
 * TOO_MUCH_CHURN.
 */
export async function renameAgent(
  parts: RegistryParts,
  request: RenameAgentRequest,
  caller: Caller,
): Promise<RenameAgentResponse> {
  const { node, org, actor } = requireActing(caller, ['admin']);
  const { name } = request;
  checkName(name, 'agent');
  const access = requireOpen(parts.orgs, org);
  const folded = foldName(name);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const agent = await named(parts, org, request.agent, true);
    if (agent === undefined) throw agentUnknown(request.agent, await nearest(parts, org, request.agent));
    if (node !== undefined && agent.node !== node) throw notTheOwner();
    // Neither a way into a suspended workspace nor out of it.
    const refused = access?.acceptsAgent(name) ?? access?.acceptsAgent(agent.name);
    if (refused !== undefined) throw refused;
    if (agent.folded !== folded) refuseAssigned(access, [agent.name, name]);
    if (node !== undefined && agent.name !== name) parts.churn.spend({ id: node, org }, 1);
    const renamed =
      agent.name === name || (await parts.agents.rename(org, agent.id, agent.node, { name, folded }));
    if (renamed === 'gone') continue;
    if (renamed === 'name_taken') {
      const holder = await parts.agents.byName(org, folded);
      if (holder === undefined) continue;
      throw await takenBy(parts, name, holder, { org, name: agent.nodeName });
    }
    const now = await parts.agents.byId(org, agent.id);
    if (now === undefined) continue;
    await parts.routes.ensure(now);
    if (renamed === 'renamed') {
      const details = { name: now.name, before: agent.name, node: now.node };
      const id = `agent_renamed-${now.id}-${now.epoch}`;
      parts.announcer.tell({ org, name: 'agent_renamed', target: now.id, actor, details, id });
      if (actor !== now.node) parts.nudge(org, now.node, 'roster');
    }
    return { agent: shownAgent(parts, now) };
  }
  throw new FleetwireError('aborted', 'NAME_IN_MOTION', `"${name}" is being registered and removed`, {
    retryAfterMs: 100,
  });
}

/** Assignments go by name: workspace, person and policies would be left behind, or those of another be had. */
function refuseAssigned(access: OrgAccess | undefined, names: readonly string[]): void {
  const assigned = names.find((name) => access?.assignmentOf(name) !== undefined);
  if (assigned !== undefined) throw agentAssigned(assigned);
}
