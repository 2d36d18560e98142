/** Rosters as the small hub takes them: by the registry's rules. */

import type { Agent, RegisterAgentRequest, RosterAgent, RosterOutcome } from '@fleetwire/gen/registry';
import { rosterDigest } from '@fleetwire/identity';
import { FleetwireError, foldName, newId } from '@fleetwire/kernel';

interface Registered {
  /** By folded name. */
  readonly agents: Map<string, Agent>;
  readonly nodes: ReadonlyMap<string, { readonly name: string }>;
}

export function digestOf({ agents }: Registered, node: string): number {
  return rosterDigest([...agents.values()].filter((agent) => agent.node === node).map((agent) => agent.id));
}

/** An id that it knows keeps the name that it has there, a new one must have a free name. */
export function takeRoster(hub: Registered, node: string, roster: readonly RosterAgent[]) {
  const byId = new Map([...hub.agents.values()].map((agent) => [agent.id, agent]));
  const outcomes = roster.map(({ id, name, adapter, profile }): RosterOutcome => {
    const known = byId.get(id);
    const held = known ?? hub.agents.get(foldName(name));
    const taken = { agent: undefined, message: `${name} lives elsewhere`, suggestion: `${name}-2` };
    if (held !== undefined && held.node !== node)
      return { ...taken, reason: known === undefined ? 'NAME_TAKEN' : 'AGENT_MOVED' };
    const agent = held ?? newAgent(hub, node, { name, adapter, profile });
    if (profile !== undefined) agent.profile = profile;
    return { agent, reason: '', message: '', suggestion: '' };
  });
  const kept = new Set(outcomes.map((outcome) => outcome.agent?.id));
  for (const [name, agent] of hub.agents)
    if (agent.node === node && !kept.has(agent.id)) hub.agents.delete(name);
  return { outcomes, rosterDigest: digestOf(hub, node) };
}

/** Idempotent for the same node; throws NAME_TAKEN. */
export function registerOne(hub: Registered, node: string, request: RegisterAgentRequest): Agent {
  const { name } = request;
  const present = hub.agents.get(foldName(name));
  if (present === undefined) return newAgent(hub, node, request);
  if (present.node === node) return present;
  throw new FleetwireError('already_exists', 'NAME_TAKEN', `${name} lives elsewhere`, {
    help: `Choose another name; ${name}-2 is free.`,
    details: { held_by_node_name: present.nodeName, suggestion: `${name}-2` },
  });
}

export function newAgent(
  hub: Registered,
  node: string,
  { name, adapter, profile }: Pick<RegisterAgentRequest, 'name' | 'adapter' | 'profile'>,
): Agent {
  const nodeName = hub.nodes.get(node)!.name;
  const state = { status: 'online', registeredAtMs: 1, lastSeenAtMs: 1, epoch: 1, moving: false };
  const agent = { id: newId('agent'), name, adapter, node, nodeName, profile, ...state };
  hub.agents.set(foldName(name), agent);
  return agent;
}
