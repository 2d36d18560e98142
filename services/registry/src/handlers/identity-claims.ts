/** One process on one machine is a node: who says HELLO takes the identity over, or is refused, and then both are told. */

import { FleetwireError, nowMs } from '@fleetwire/kernel';
import { useNonce } from '../domain/challenge.ts';
import { identityInUse, nodeRemoved, ownerDeparted } from '../domain/errors.ts';
import { claimIdentity, mayBeThereMs } from '../domain/identity-holder.ts';
import { cleaned } from '../domain/node-facts.ts';
import type { NodeRow } from '../store/entities.ts';
import type { Greeting } from '../store/node-state.ts';
import type { RoutedNode } from '../store/nodes.ts';
import { tellOfNode } from './node-news.ts';
import type { RegistryParts } from './parts.ts';

type ClaimParts = Pick<
  RegistryParts,
  'known' | 'nodeState' | 'lastSeen' | 'watch' | 'announcer' | 'nudge' | 'clock' | 'config' | 'log'
>;

/** Somebody else's HELLO between our reading and our writing. */
const TRIES = 4;
const HOUR_MS = 3_600_000;
/** So often contenders of a node are written down and told of. */
const NOTED_FRESH_MS = 60_000;

/**
 * Rejects failed_precondition IDENTITY_IN_USE, NODE_REMOVED or OWNER_DEPARTED, unauthenticated CHALLENGE_INVALID, aborted
 * IDENTITY_CONTENDED.
 */
export async function takeIdentity(
  parts: ClaimParts,
  node: NodeRow,
  told: Omit<Greeting, 'usedNonces'>,
  nonce: Uint8Array,
): Promise<RoutedNode> {
  let holder: NodeRow = node;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const now = nowMs(parts.clock);
    const waitMs = mayBeThereMs(watchOf(parts, holder, now), now, parts.config.liveness_ms);
    if (claimIdentity(holder, told, waitMs > 0) === 'contender') {
      await noteContender(parts, holder, `${told.host || 'another machine'} (${told.platform})`);
      throw identityInUse(holder.host, Math.max(1000, waitMs));
    }
    const usedNonces = useNonce(holder.usedNonces, nonce, now);
    const routed = await parts.nodeState.greeted(node.id, holder.revision, { ...told, usedNonces }, now);
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

function watchOf({ lastSeen, watch }: ClaimParts, { id, lastSeenAtMs, leftAtMs }: NodeRow, now: number) {
  return {
    heardAtMs: lastSeen.latest(id, lastSeenAtMs),
    leftAtMs: lastSeen.leftAt(id, leftAtMs),
    unbrokenSinceMs: now - watch.unbrokenMs,
  };
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
