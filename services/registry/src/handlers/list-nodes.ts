/** ListNodes. */

import type { ListNodesRequest, ListNodesResponse, Node } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { isName, nowMs } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { requireReader } from '../domain/callers.ts';
import { shownFacts } from '../domain/node-facts.ts';
import type { NodeRow } from '../store/entities.ts';
import type { RegistryParts } from './parts.ts';

export async function listNodes(
  parts: RegistryParts,
  request: ListNodesRequest,
  caller: Caller,
): Promise<ListNodesResponse> {
  const org = requireReader(caller);
  const { size, after } = readPage(request, isName);
  const { shown, nextPageToken } = cutPage(
    await parts.nodes.list(org, after, size + 1),
    size,
    (node) => node.folded,
  );
  const moves = await parts.nodeState.movesOf(shown.map(({ id }) => id));
  return { nodes: shown.map((node) => shownNode(parts, node, moves.get(node.id))), nextPageToken };
}

export function shownNode(parts: RegistryParts, node: NodeRow, moving = 0): Node {
  const now = nowMs(parts.clock);
  const lastSeenAtMs = parts.lastSeen.latest(node.id, node.lastSeenAtMs);
  const presence = parts.lastSeen.status(node.id, node, now, parts.config.liveness_ms);
  const draining = node.draining && presence === 'online' ? 'draining' : presence;
  return {
    id: node.id,
    name: node.name,
    status: node.shutOut === '' ? draining : 'shut_out',
    version: node.version,
    platform: node.platform,
    joinedAtMs: node.joinedAtMs,
    lastSeenAtMs,
    agents: node.agents,
    owner: node.owner,
    protocol: node.protocol,
    host: node.host,
    facts: shownFacts(node.facts),
    draining: node.draining,
    rotating: node.rotate,
    contender: contenderOf(node, now, parts.config.contender_ms),
    moving,
    load: parts.view.loadOf(node.org, node.id),
  };
}

/** Who else tried to be this node lately; empty: nobody. */
export function contenderOf(
  node: Pick<NodeRow, 'contender' | 'contenderAtMs'>,
  nowMs: number,
  tellMs: number,
): string {
  return nowMs - node.contenderAtMs < tellMs ? node.contender : '';
}
