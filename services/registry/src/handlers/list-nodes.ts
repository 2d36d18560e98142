/** ListNodes. */

import { type ListNodesRequest, type ListNodesResponse, Node } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { isName, nowMs } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { requireReader } from '../domain/callers.ts';
import { statusOf } from '../domain/liveness.ts';
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
  return { nodes: shown.map((node) => shownNode(parts, node)), nextPageToken };
}

function shownNode(parts: RegistryParts, node: NodeRow): Node {
  const lastSeenAtMs = parts.lastSeen.latest(node.id, node.lastSeenAtMs);
  return Node.fromPartial({
    id: node.id,
    name: node.name,
    status: statusOf(lastSeenAtMs, nowMs(parts.clock), parts.config.liveness_ms),
    version: node.version,
    platform: node.platform,
    joinedAtMs: node.joinedAtMs,
    lastSeenAtMs,
    agents: node.agents,
  });
}
