/** AgentHomes: where agents live and have lived, as PostgreSQL has it at this moment: who may speak of their mail. */

import type { AgentHome, AgentHomesRequest, AgentHomesResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { isId, nowMs } from '@fleetwire/kernel';
import { tooManyAgents } from '../domain/agent-errors.ts';
import { requireNode, requireReader } from '../domain/callers.ts';
import type { RegistryParts } from './parts.ts';

const AGENTS_MAX = 1000;

/**
 * Of agents that nobody knows there is nothing in the answer. Throws NOT_A_NODE, ORG_MISSING, ORG_NOT_YOURS,
 * TOO_MANY_AGENTS.
 */
export async function agentHomes(
  parts: Pick<RegistryParts, 'agents' | 'clock'>,
  request: AgentHomesRequest,
  caller: Caller,
): Promise<AgentHomesResponse> {
  if (caller.kind !== 'service') requireNode(caller);
  const org = requireReader(caller, request.org);
  const { agents } = request;
  if (agents.length > AGENTS_MAX) throw tooManyAgents(AGENTS_MAX);
  const ids = agents.filter((id) => isId('agent', id));
  const rows = ids.length === 0 ? [] : await parts.agents.homes(org, ids);
  const homes = new Map<string, AgentHome>();
  const now = nowMs(parts.clock);
  for (const { agent, node, agoMs } of rows) {
    const home = homes.get(agent) ?? { agent, nodes: [], former: [] };
    homes.set(agent, home);
    if (agoMs === null) home.nodes.push(node);
    else home.former.push({ node, leftAtMs: now - agoMs });
  }
  return { homes: [...homes.values()] };
}
