/** LookupAgent and ListAgents. */

import type {
  Agent,
  ListAgentsRequest,
  ListAgentsResponse,
  LookupAgentRequest,
  LookupAgentResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { foldName, isId, isName, nearestNames, nowMs } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { requireReader } from '../domain/callers.ts';
import { agentUnknown } from '../domain/errors.ts';
import { statusOf } from '../domain/liveness.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { RegistryParts } from './parts.ts';

export async function lookupAgent(
  parts: RegistryParts,
  request: LookupAgentRequest,
  caller: Caller,
): Promise<LookupAgentResponse> {
  const org = requireReader(caller, request.org);
  const { name } = request;
  const agent = isId('agent', name)
    ? await parts.agents.byId(org, name)
    : isName(name)
      ? await parts.agents.byName(org, foldName(name))
      : undefined;
  if (agent === undefined) throw agentUnknown(name, await nearest(parts, org, name));
  return { agent: shownAgent(parts, agent) };
}

/** Names a typing error or two away; of a large org, among the first ones of about that length. */
async function nearest(parts: RegistryParts, org: string, name: string): Promise<string[]> {
  if (!isName(name)) return [];
  const slack = Math.max(1, Math.floor(name.length / 3));
  return nearestNames(name, await parts.agents.namesLike(org, name.length, slack, parts.config.suggest_scan));
}

export async function listAgents(
  parts: RegistryParts,
  request: ListAgentsRequest,
  caller: Caller,
): Promise<ListAgentsResponse> {
  const org = requireReader(caller);
  const { size, after } = readPage(request, isName);
  const { shown, nextPageToken } = cutPage(
    await parts.agents.list(org, after, size + 1),
    size,
    (agent) => agent.folded,
  );
  return { agents: shown.map((agent) => shownAgent(parts, agent)), nextPageToken };
}

/** An agent is online when its node is. */
export function shownAgent(parts: RegistryParts, agent: PlacedAgent): Agent {
  const lastSeenAtMs = parts.lastSeen.latest(agent.node, agent.lastSeenAtMs);
  return {
    id: agent.id,
    name: agent.name,
    node: agent.node,
    nodeName: agent.nodeName,
    status: statusOf(lastSeenAtMs, nowMs(parts.clock), parts.config.liveness_ms),
    adapter: agent.adapter,
    registeredAtMs: agent.registeredAtMs,
    lastSeenAtMs,
    epoch: agent.epoch,
    profile: undefined,
    moving: agent.movingFrom !== '',
  };
}
