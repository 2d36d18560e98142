/** MoveAgent, and registration that takes an agent over from another node: both begin a move. */

import type { MoveAgentRequest, MoveAgentResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, nowMs } from '@fleetwire/kernel';
import { requireAdmin } from '../domain/callers.ts';
import { agentUnknown, limitReached, nodeNotFound } from '../domain/errors.ts';
import { isOnline, MOVING_PROTOCOL, mayTakeOver, moveUnderWay } from '../domain/moving.ts';
import { requireOpen } from '../domain/orgs.ts';
import { named, shownAgent } from '../handlers/find-agents.ts';
import { namedNode } from '../handlers/node-admin.ts';
import type { RegistryParts } from '../handlers/parts.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { Party } from '../store/moves.ts';
import { openMove, seenAtMs } from './move-steps.ts';

type MovingCallParts = Pick<RegistryParts, 'agents' | 'clock' | 'config' | 'lastSeen' | 'moving' | 'routes'>;

/** A person with the scope admin, to any node of the org that is online and takes agents. Idempotent. */
export async function moveAgent(
  parts: RegistryParts,
  request: MoveAgentRequest,
  caller: Caller,
): Promise<MoveAgentResponse> {
  const { org } = requireAdmin(caller);
  requireOpen(parts.orgs, org);
  const agent = await named(parts, org, request.agent, true);
  if (agent === undefined) throw agentUnknown(request.agent, []);
  const { id: toNode } = await namedNode(parts, org, request.toNode);
  const to = await parts.moving.moves.party(toNode);
  if (to === undefined) throw nodeNotFound(request.toNode, []);
  if (agent.node === to.id) return { agent: shownAgent(parts, agent) };
  checkTarget(parts, to);
  const from = await parts.moving.moves.party(agent.node);
  if (from !== undefined && online(parts, from) && from.protocol < MOVING_PROTOCOL) throw nodeTooOld(from);
  return { agent: shownAgent(parts, await move(parts, agent, to, agent.adapter, 'asked')) };
}

/**
 * For the registration of an agent that another node has. Undefined where it may not be taken over: the name is taken
 * then. Rejects aborted MOVE_UNDER_WAY, resource_exhausted AGENT_LIMIT.
 */
export async function takeOver(
  parts: MovingCallParts,
  holder: PlacedAgent,
  node: string,
  adapter: string,
): Promise<PlacedAgent | undefined> {
  const { moves } = parts.moving;
  const [from, to] = await Promise.all([moves.party(holder.node), moves.party(node)]);
  if (from === undefined || to === undefined || to.draining || to.protocol < MOVING_PROTOCOL)
    return undefined;
  if (!mayTakeOver(from, to, online(parts, from), await moves.isMovable(holder.id))) return undefined;
  return move(parts, holder, to, adapter, 'taken_over');
}

async function move(
  parts: MovingCallParts,
  agent: PlacedAgent,
  to: Party,
  adapter: string,
  reason: 'asked' | 'taken_over',
): Promise<PlacedAgent> {
  const { moving, config, clock } = parts;
  if (to.agents >= config.agents_per_node_max) throw nodeFull(config.agents_per_node_max);
  const { id, org, node: fromNode, shard: fromShard } = agent;
  const begun = { agent: id, org, fromNode, fromShard, toNode: to.id, toShard: to.shard, reason };
  const row = await moving.moves.begin(begun, nowMs(clock));
  if (row === undefined) throw moveUnderWay(agent.name);
  const outcome = await openMove(moving, row, agent, adapter);
  if (outcome === 'node_full') throw nodeFull(config.agents_per_node_max);
  const placed = await parts.agents.byId(org, id);
  if (outcome === 'gone' || placed === undefined) throw moveUnderWay(agent.name);
  await parts.routes.ensure(placed);
  moving.wake();
  return placed;
}

function checkTarget(parts: RegistryParts, to: Party): void {
  const help = 'Choose another node; `fleetwire node list` shows which are online.';
  if (!online(parts, to))
    throw new FleetwireError('failed_precondition', 'NODE_OFFLINE', `${to.name} is offline`, { help });
  if (to.draining)
    throw new FleetwireError('failed_precondition', 'NODE_DRAINING', `${to.name} takes no agents`, { help });
  if (to.protocol < MOVING_PROTOCOL) throw nodeTooOld(to);
}

function online(parts: MovingCallParts, node: Party): boolean {
  const at = { nowMs: nowMs(parts.clock), livenessMs: parts.config.liveness_ms };
  return isOnline(node, seenAtMs(parts, node), at);
}

const nodeFull = (max: number) => limitReached('AGENT_LIMIT', `the node has ${max} agents`);

const nodeTooOld = (node: Party) =>
  new FleetwireError('failed_precondition', 'NODE_TOO_OLD', `${node.name} knows nothing of moves`, {
    help: 'Bring the node to a newer version first.',
    details: { protocol: String(node.protocol) },
  });
