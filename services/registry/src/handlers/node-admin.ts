/** DrainNode, RemoveNode, RequestKeyRotation, AdoptNode: what an admin of an org does to its nodes. */

import type {
  AdoptNodeRequest,
  AdoptNodeResponse,
  DrainNodeRequest,
  DrainNodeResponse,
  RemoveNodeRequest,
  RemoveNodeResponse,
  RequestKeyRotationRequest,
  RequestKeyRotationResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { foldName, isId, isName, nowMs } from '@fleetwire/kernel';
import { requireAdmin } from '../domain/callers.ts';
import { nodeNotFound } from '../domain/errors.ts';
import type { NodeRow } from '../store/entities.ts';
import { nearest } from './find-agents.ts';
import { shownNode } from './list-nodes.ts';
import { tellOfNode } from './node-news.ts';
import type { RegistryParts } from './parts.ts';

export async function drainNode(
  parts: RegistryParts,
  { node: named, undo }: DrainNodeRequest,
  caller: Caller,
): Promise<DrainNodeResponse> {
  const { org, user } = requireAdmin(caller);
  const node = await namedNode(parts, org, named);
  const changed = await parts.nodeState.drain(node.id, !undo);
  const now = (await parts.known.fresh(node.id)) ?? node;
  await parts.nodeRoutes.ensure(changed ?? now);
  if (changed !== undefined) {
    tellOfNode(parts, 'node_draining', node, changed.epoch, {
      actor: user,
      details: { draining: String(!undo) },
    });
    parts.nudge(org, node.id, 'drain');
  }
  return { node: shownNode(parts, now) };
}

export async function requestKeyRotation(
  parts: RegistryParts,
  { node: named }: RequestKeyRotationRequest,
  caller: Caller,
): Promise<RequestKeyRotationResponse> {
  const { org } = requireAdmin(caller);
  const node = await namedNode(parts, org, named);
  await parts.nodeState.askRotation(node.id);
  parts.nudge(org, node.id, 'rotate');
  return { node: shownNode(parts, (await parts.known.fresh(node.id)) ?? node) };
}

/** The node is the caller's from now on, and welcome again when it was shut out because its owner left. */
export async function adoptNode(
  parts: RegistryParts,
  { node: named }: AdoptNodeRequest,
  caller: Caller,
): Promise<AdoptNodeResponse> {
  const { org, user } = requireAdmin(caller);
  const node = await namedNode(parts, org, named);
  const adopted = await parts.nodeState.adopt(node.id, user);
  if (adopted === undefined) throw nodeNotFound(named, []);
  const details = { owner_before: node.owner };
  const mark = `${user}-${node.revision}`;
  tellOfNode(parts, 'node_adopted', node, mark, { actor: user, details });
  return { node: shownNode(parts, (await parts.known.fresh(node.id)) ?? node) };
}

/**
 * One transaction decides; what follows (entries of the table, the servers, the consumer) is completed by upkeep when it is
 * cut short, or by repeating the call with the node's id.
 */
export async function removeNode(
  parts: RegistryParts,
  { node: named }: RemoveNodeRequest,
  caller: Caller,
): Promise<RemoveNodeResponse> {
  const { org, user } = requireAdmin(caller);
  if (await removedBefore(parts, org, named)) {
    await parts.nodeRoutes.remove(org, named);
    await parts.settleKeys(org);
    return { agents: 0 };
  }
  const { id, name } = await namedNode(parts, org, named);
  const agents = await parts.nodeKeys.removeNode(org, id, nowMs(parts.clock));
  if (agents === undefined) throw nodeNotFound(named, []);
  await parts.known.fresh(id);
  parts.lastSeen.forget(id);
  tellOfNode(parts, 'node_removed', { id, org, name }, 0, {
    actor: user,
    details: { agents: String(agents.length) },
  });
  parts.nudge(org, id, 'removed');
  // The servers first: it must not send on, whatever the table still says.
  await parts.settleKeys(org);
  await parts.nodeRoutes.remove(org, id);
  await parts.routes.removeMany(agents);
  return { agents: agents.length };
}

async function removedBefore(parts: RegistryParts, org: string, named: string): Promise<boolean> {
  if (!isId('node', named) || (await parts.nodes.byId(named)) !== null) return false;
  const keys = await parts.nodeKeys.ofNode(named);
  return keys.some((key) => key.org === org && key.reason === 'removed');
}

/** By id or name; throws NODE_UNKNOWN, the same for one of another org. */
export async function namedNode(parts: RegistryParts, org: string, named: string): Promise<NodeRow> {
  const node = isId('node', named)
    ? await parts.nodes.byId(named)
    : isName(named)
      ? await parts.nodes.byName(org, foldName(named))
      : null;
  if (node !== null && node.org === org) return node;
  throw nodeNotFound(named, await nearest(parts, org, named, parts.nodes));
}
