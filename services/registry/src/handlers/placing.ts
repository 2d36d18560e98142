/** Finding an agent its place: one insert decides who has a name, whatever happens at the same moment. */

import { FleetwireError, foldName, newId, nowMs } from '@fleetwire/kernel';
import { agentMoved, nameTaken, nodeDraining } from '../domain/agent-errors.ts';
import { limitReached, nodeUnknown } from '../domain/errors.ts';
import { NO_PROFILE, type StoredProfile, sameProfile } from '../domain/profile.ts';
import { freeSuggestion, suggestions } from '../domain/suggest.ts';
import { takeOver } from '../moving/move-agent.ts';
import type { AgentBounds, InsertOutcome, PlacedAgent } from '../store/agents.ts';
import type { NodeRow } from '../store/entities.ts';
import { isOnline } from './find-agents.ts';
import type { RegistryParts } from './parts.ts';

/** What a node asks for. */
export interface Wanted {
  readonly name: string;
  readonly adapter: string;
  /** Undefined: what is known stays. */
  readonly profile: StoredProfile | undefined;
}

export interface Placed {
  readonly agent: PlacedAgent;
  /** Not there before. */
  readonly fresh: boolean;
}

export type PlacingParts = Pick<
  RegistryParts,
  'agents' | 'churn' | 'clock' | 'config' | 'lastSeen' | 'moving' | 'orgs' | 'random' | 'routes'
>;

/** A holder may vanish between the insert that it refuses and the look at who it is. */
const TRIES = 3;

/**
 * Idempotent for the holder, also while its workspace is suspended. Throws NAME_TAKEN, WORKSPACE_SUSPENDED, NODE_DRAINING,
 * AGENT_LIMIT, PLAN_LIMIT, NODE_UNKNOWN, NAME_IN_MOTION, TOO_MUCH_CHURN.
 */
export async function place(
  parts: PlacingParts,
  node: NodeRow,
  wanted: Wanted,
  takingOver: boolean,
): Promise<Placed> {
  const folded = foldName(wanted.name);
  let outcome: InsertOutcome = 'name_taken';
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const holder = await parts.agents.byName(node.org, folded);
    if (holder?.node === node.id) return { agent: await refreshed(parts, holder, wanted), fresh: false };
    const refused = parts.orgs.get(node.org)?.acceptsAgent(wanted.name);
    if (refused !== undefined && (holder === undefined || takingOver)) throw refused;
    if (holder !== undefined) {
      const taken = takingOver ? await takeOver(parts, holder, node.id, wanted.adapter) : undefined;
      if (taken === undefined) throw await takenBy(parts, wanted.name, holder, node);
      return { agent: await refreshed(parts, taken, wanted), fresh: false };
    }
    if (outcome !== 'name_taken') throw await refusalOf(parts, node.org, outcome);
    parts.churn.spend(node, 1);
    const id = newId('agent', parts.random);
    const row = newRow(parts, id, wanted);
    outcome = await parts.agents.insert({ ...row, org: node.org, node: node.id }, boundsOf(parts, node.org));
    if (outcome !== 'inserted') continue;
    const agent = await parts.agents.byId(node.org, id);
    if (agent !== undefined) return { agent, fresh: true };
    outcome = 'name_taken';
  }
  const message = `"${wanted.name}" is being registered and removed at this moment`;
  throw new FleetwireError('aborted', 'NAME_IN_MOTION', message, { retryAfterMs: 100 });
}

export function newRow(parts: Pick<PlacingParts, 'clock'>, id: string, wanted: Wanted) {
  const { name, adapter, profile } = wanted;
  const registeredAtMs = nowMs(parts.clock);
  const folded = foldName(name);
  return { ...(profile ?? NO_PROFILE), id, name, folded, adapter, registeredAtMs, suspended: false };
}

export function boundsOf(parts: Pick<PlacingParts, 'config' | 'orgs'>, org: string): AgentBounds {
  const perNode = parts.config.agents_per_node_max;
  return { perNode, perOrg: parts.orgs.get(org)?.planLimit('agents') };
}

/** What the row has to become; undefined: it is that already. */
export function changeOf(row: PlacedAgent, wanted: Omit<Wanted, 'name'>): StoredProfile | undefined {
  const profile = wanted.profile ?? row;
  return row.adapter === wanted.adapter && sameProfile(row, profile) ? undefined : profile;
}

async function refreshed(parts: PlacingParts, row: PlacedAgent, wanted: Wanted): Promise<PlacedAgent> {
  const profile = changeOf(row, wanted);
  if (profile === undefined) return row;
  const { adapter } = wanted;
  const epochs = await parts.agents.refresh(row.node, [{ ...stored(profile), id: row.id, adapter }]);
  const epoch = epochs.get(row.id);
  if (epoch === undefined) throw agentMoved(row.nodeName);
  return { ...row, ...stored(profile), adapter, epoch };
}

/** Nothing but the profile of what may be a whole row. */
export function stored(profile: StoredProfile): StoredProfile {
  const { model, capabilities, tools, repo, visibility, policyGroup, location, movable } = profile;
  return { model, capabilities, tools, repo, visibility, policyGroup, location, movable };
}

/** What is not a matter of names. */
export async function refusalOf(
  parts: Pick<PlacingParts, 'agents' | 'config' | 'orgs'>,
  org: string,
  outcome: InsertOutcome,
): Promise<FleetwireError> {
  if (outcome === 'node_draining') return nodeDraining();
  if (outcome === 'node_gone') return nodeUnknown();
  const { agents_per_node_max: perNode } = parts.config;
  if (outcome === 'node_full') return limitReached('AGENT_LIMIT', `the node has ${perNode} agents`);
  // By what there is now; the plan may have changed a moment ago.
  const refused = parts.orgs.get(org)?.admit('agent', await parts.agents.countOfOrg(org));
  return refused ?? limitReached('AGENT_LIMIT', 'the org had as many agents as its plan allows');
}

/** NAME_TAKEN, with who holds the name and one that is free at this moment. */
export async function takenBy(
  parts: PlacingParts,
  name: string,
  holder: PlacedAgent,
  node: Pick<NodeRow, 'org' | 'name'>,
): Promise<FleetwireError> {
  const taken = await parts.agents.taken(node.org, suggestions(name, node.name).map(foldName));
  const free = freeSuggestion(name, node.name, taken, foldName);
  return nameTaken(holder.name, { ...holder, reservedUntilMs: reservedUntil(parts, holder) }, free);
}

/** Undefined: its node is there. */
export function reservedUntil(
  parts: Pick<PlacingParts, 'clock' | 'config' | 'lastSeen'>,
  holder: PlacedAgent,
): number | undefined {
  if (isOnline(parts, holder)) return undefined;
  const seenAtMs = parts.lastSeen.latest(holder.node, holder.lastSeenAtMs);
  return Math.max(seenAtMs, holder.registeredAtMs) + parts.config.stale_ms;
}
