/** One process on one machine is a node: who says HELLO takes the identity over, or is refused, and then both are told. */

import { FleetwireError, nowMs } from '@fleetwire/kernel';
import { identityInUse, nodeRemoved, ownerDeparted } from '../domain/errors.ts';
import { claimIdentity } from '../domain/identity-holder.ts';
import { cleaned } from '../domain/node-facts.ts';
import type { NodeRow } from '../store/entities.ts';
import type { Greeting } from '../store/node-state.ts';
import type { RoutedNode } from '../store/nodes.ts';
import { tellOfNode } from './node-news.ts';
import type { RegistryParts } from './parts.ts';

type ClaimParts = Pick<
  RegistryParts,
  'known' | 'nodeState' | 'lastSeen' | 'announcer' | 'nudge' | 'clock' | 'config' | 'log'
>;

/** Somebody else's HELLO between our reading and our writing. */
const TRIES = 4;
const HOUR_MS = 3_600_000;
/** So often contenders of a node are written down and told of. */
const NOTED_FRESH_MS = 60_000;

/** Rejects failed_precondition IDENTITY_IN_USE, NODE_REMOVED or OWNER_DEPARTED, aborted IDENTITY_CONTENDED. */
export async function takeIdentity(parts: ClaimParts, node: NodeRow, told: Greeting): Promise<RoutedNode> {
  let holder: NodeRow = node;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const now = nowMs(parts.clock);
    const heardMs = parts.lastSeen.latest(node.id, holder.lastSeenAtMs);
    const { liveness_ms: livenessMs } = parts.config;
    const online = parts.lastSeen.status(node.id, holder, now, livenessMs) === 'online';
    if (claimIdentity(holder, told, online) === 'contender') {
      await noteContender(parts, holder, `${told.host || 'another machine'} (${told.platform})`);
      const waitMs = Math.max(1000, livenessMs - (now - heardMs));
      throw identityInUse(holder.host, Math.min(waitMs, livenessMs));
    }
    const routed = await parts.nodeState.greeted(node.id, holder.revision, told, now);
    if (routed !== undefined) {
      parts.lastSeen.note(node.id, now);
      await parts.known.fresh(node.id);
      return routed;
    }
    const read = await parts.known.fresh(node.id);
    if (read === null) throw nodeRemoved();
    if (read.shutOut !== '') throw ownerDeparted();
    holder = read;
  }
  throw new FleetwireError('aborted', 'IDENTITY_CONTENDED', 'several say HELLO as this node at this moment', {
    retryAfterMs: 200,
  });
}

/** The holder hears of it by its heartbeats, people by the list of nodes and an event an hour. */
export async function noteContender(parts: ClaimParts, node: NodeRow, who: string): Promise<void> {
  const now = nowMs(parts.clock);
  const contender = cleaned(who, 200);
  if (!(await parts.nodeState.contended(node.id, contender, now, now - NOTED_FRESH_MS))) return;
  parts.log.warn({ node: node.name, org: node.org, contender }, 'another machine tries to be this node');
  const details = { contender, holder: node.host };
  tellOfNode(parts, 'node_contended', node, Math.floor(now / HOUR_MS), { details });
  parts.nudge(node.org, node.id, 'identity');
}
