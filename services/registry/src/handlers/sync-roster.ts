/** SyncRoster: all agents of a node at once, in batches; what is not in the list is taken away. */

import { LIMITS } from '@fleetwire/contract';
import type { RosterOutcome, SyncRosterRequest, SyncRosterResponse } from '@fleetwire/gen/registry';
import { type Caller, rosterDigest } from '@fleetwire/identity';
import { isId, isName, nowMs } from '@fleetwire/kernel';
import { rosterTooLarge } from '../domain/agent-errors.ts';
import { type RosterItem, readRoster } from '../domain/roster.ts';
import type { NodeRow } from '../store/entities.ts';
import { tellRemoved } from './deregister-agent.ts';
import type { RegistryParts } from './parts.ts';
import { placeBatch } from './roster-batch.ts';
import { ROSTER_BATCH } from './roster-turns.ts';
import { callingNode } from './standing.ts';

/**
 * Never touches an agent of another node. What was registered or changed since the call came stays, whatever the list says.
 * Idempotent. Throws ROSTER_TOO_LARGE, what `RosterTurns` and `Churn` throw; what is wrong with one agent is told in its outcome.
 */
export async function syncRoster(
  parts: RegistryParts,
  request: SyncRosterRequest,
  caller: Caller,
): Promise<SyncRosterResponse> {
  const node = await callingNode(parts, caller);
  const { agents, removed } = request;
  const size = Math.max(agents.length, removed.length);
  if (size > LIMITS.rosterAgents) throw rosterTooLarge(LIMITS.rosterAgents);
  return parts.rosterTurns.run(node, size, () => takeRoster(parts, request, node));
}

async function takeRoster(
  parts: RegistryParts,
  { agents, removed }: SyncRosterRequest,
  node: NodeRow,
): Promise<SyncRosterResponse> {
  const access = parts.orgs.get(node.org);
  const epoch = await parts.roster.epochNow();
  const items = readRoster(agents);
  const outcomes: RosterOutcome[] = [];
  const listed = new Set<string>();
  for (let from = 0; from < items.length; from += ROSTER_BATCH) {
    const batch = items.slice(from, from + ROSTER_BATCH);
    outcomes.push(...(await placeBatch(parts, node, batch, access, listed)));
    await parts.announcer.room();
  }
  const ids = removed.filter((id) => isId('agent', id));
  await removeMissing(parts, node, { items, outcomes, removed: ids }, epoch);
  return { outcomes, rosterDigest: rosterDigest(await parts.roster.idsOf(node.id)) };
}

interface Told {
  readonly items: readonly RosterItem[];
  readonly outcomes: readonly RosterOutcome[];
  /** Ids of agents that the node has removed. */
  readonly removed: readonly string[];
}

/** Those of the node that are not in its list; of one that it lists wrongly, it still says that it has it. */
async function removeMissing(
  parts: RegistryParts,
  node: NodeRow,
  { items, outcomes, removed }: Told,
  epoch: number,
): Promise<void> {
  const listed = new Set<string>();
  for (const { id } of items) if (id !== '') listed.add(id);
  for (const { agent } of outcomes) if (agent !== undefined) listed.add(agent.id);
  // One that cannot be taken as it is described is still there.
  const refused = items.filter((item) => item.refused !== undefined && isName(item.name));
  const folded = refused.map((item) => item.folded);
  const there = { ids: [...listed], folded, removed };
  for (;;) {
    const missing = await parts.roster.missing(node.id, there, epoch, ROSTER_BATCH);
    if (missing.length === 0) return;
    parts.churn.spend(node, missing.length);
    const gone = await parts.agents.remove({ ids: missing, node: node.id, nowMs: nowMs(parts.clock) });
    await parts.routes.removeMany(gone);
    tellRemoved(parts, gone, node.id, 'roster');
    await parts.announcer.room();
    if (gone.length === 0) return;
  }
}
