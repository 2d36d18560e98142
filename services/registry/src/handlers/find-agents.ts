/** LookupAgent and ListAgents. */

import { foldCapability } from '@fleetwire/contract';
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
import { shownProfile } from '../domain/profile.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { RegistryParts } from './parts.ts';

/** From memory where that is as new as the routing table is here; else from PostgreSQL. */
export async function lookupAgent(
  parts: RegistryParts,
  request: LookupAgentRequest,
  caller: Caller,
): Promise<LookupAgentResponse> {
  const org = requireReader(caller, request.org);
  const { name } = request;
  const byId = isId('agent', name);
  const known = byId ? parts.view.agentById(org, name) : parts.view.agentByName(org, name);
  if (known !== undefined) return { agent: shownAgent(parts, known) };
  const agent = await named(parts, org, name, true);
  if (agent === undefined) throw agentUnknown(name, await nearest(parts, org, name));
  parts.view.remember(agent);
  return { agent: shownAgent(parts, agent) };
}

/** By id, or, where `byName`, by name. */
export async function named(
  parts: Pick<RegistryParts, 'agents'>,
  org: string,
  text: string,
  byName: boolean,
): Promise<PlacedAgent | undefined> {
  if (isId('agent', text)) return parts.agents.byId(org, text);
  return byName && isName(text) ? parts.agents.byName(org, foldName(text)) : undefined;
}

/** Names a typing error or two away; of a large org, among the first ones of about that length. */
export async function nearest(
  parts: Pick<RegistryParts, 'agents' | 'config'>,
  org: string,
  name: string,
  among: Pick<RegistryParts['agents'], 'namesLike'> = parts.agents,
): Promise<string[]> {
  if (!isName(name)) return [];
  const slack = Math.max(1, Math.floor(name.length / 3));
  return nearestNames(name, await among.namesLike(org, name.length, slack, parts.config.suggest_scan));
}

export async function listAgents(
  parts: RegistryParts,
  request: ListAgentsRequest,
  caller: Caller,
): Promise<ListAgentsResponse> {
  const org = requireReader(caller);
  if (request.capability !== '') return listCapable(parts, org, request);
  const { size, after } = readPage(request, isName);
  const rows =
    request.node === ''
      ? await parts.agents.list(org, after, size + 1)
      : await parts.agents.listOfNode(org, request.node, after, size + 1);
  const { shown, nextPageToken } = cutPage(rows, size, (agent) => agent.folded);
  return { agents: shown.map((agent) => shownAgent(parts, agent)), nextPageToken };
}

/** Those that can be reached first, of these the ones on the least busy nodes first; the order may change between pages. */
async function listCapable(
  parts: RegistryParts,
  org: string,
  request: ListAgentsRequest,
): Promise<ListAgentsResponse> {
  const { size, after } = readPage(request, (key) => /^\d{1,9}$/.test(key));
  const capability = foldCapability(request.capability.replace(/^\?/, ''));
  const from = Number(after || '0');
  const ids = capability === undefined ? [] : parts.view.capable(org, capability, request.node);
  const page = ids.slice(from, from + size + 1);
  const rows = new Map((await parts.agents.byIds(page)).map((row) => [row.id, row]));
  const { shown, nextPageToken } = cutPage(
    page.map((id, i) => ({ id, at: from + i + 1 })),
    size,
    ({ at }) => String(at),
  );
  const agents: Agent[] = [];
  for (const { id } of shown) {
    const row = rows.get(id);
    if (row?.org === org) agents.push(shownAgent(parts, row));
  }
  return { agents, nextPageToken };
}

type ShowingParts = Pick<RegistryParts, 'lastSeen' | 'clock' | 'config'>;

/** Heard of within the liveness, by any replica, and not gone by goodbye since. */
export function isOnline({ lastSeen, clock, config }: ShowingParts, agent: PlacedAgent): boolean {
  return lastSeen.status(agent.node, agent, nowMs(clock), config.liveness_ms) === 'online';
}

/** An agent is online when its node is, unless its workspace is suspended. */
export function shownAgent(parts: ShowingParts, agent: PlacedAgent): Agent {
  return {
    id: agent.id,
    name: agent.name,
    node: agent.node,
    nodeName: agent.nodeName,
    status: agent.suspended ? 'suspended' : isOnline(parts, agent) ? 'online' : 'offline',
    adapter: agent.adapter,
    registeredAtMs: agent.registeredAtMs,
    lastSeenAtMs: parts.lastSeen.latest(agent.node, agent.lastSeenAtMs),
    epoch: agent.epoch,
    profile: shownProfile(agent),
    moving: agent.movingFrom !== '',
  };
}
