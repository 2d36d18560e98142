/** A node's token lives for a day; what it may be used for ends with the node, its key or its owner's membership. */

import type { Caller } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError, nowMs } from '@fleetwire/kernel';
import { requireNode } from '../domain/callers.ts';
import { nodeUnknown, ownerDeparted } from '../domain/errors.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { NodeRow } from '../store/entities.ts';
import type { RegistryParts } from './parts.ts';

/**
 * The caller, when it is no node or one that is welcome. From memory where the node is remembered: another replica's word
 * counts within `look_ms`. Rejects NODE_UNKNOWN, OWNER_DEPARTED, TOKEN_REVOKED for a token by a key that is not taken any more.
 */
export async function inGoodStanding(
  parts: Pick<RegistryParts, 'known' | 'clock'>,
  caller: Caller,
): Promise<Caller> {
  if (caller.kind !== 'node') return caller;
  const node = await parts.known.get(caller.subject).catch(goOnWithout);
  // What is answered from memory is answered while PostgreSQL is away.
  if (node === undefined) return caller;
  if (node === null || node.org !== caller.org) throw nodeUnknown();
  if (node.shutOut !== '') throw ownerDeparted();
  const { key } = caller;
  const old = key === node.oldPublicKey && node.oldKeyUntilMs > nowMs(parts.clock);
  // A release before did not say by which key.
  if (key !== '' && key !== node.publicKey && !old) throw keyChanged();
  return caller;
}

/** The node that calls, as it is in the store. Rejects NOT_A_NODE, ORG_CLOSED, NODE_UNKNOWN. */
export async function callingNode(
  parts: Pick<RegistryParts, 'nodes' | 'orgs'>,
  caller: Caller,
): Promise<NodeRow> {
  const { node: id, org } = requireNode(caller);
  requireOpen(parts.orgs, org);
  const node = await parts.nodes.byId(id);
  if (node === null || node.org !== org) throw nodeUnknown();
  return node;
}

function goOnWithout(error: unknown): undefined {
  if (asFleetwireError(error).kind !== 'unavailable') throw error;
}

const keyChanged = (): FleetwireError =>
  new FleetwireError('unauthenticated', 'TOKEN_REVOKED', 'the key of this token is not taken any more', {
    help: 'Say HELLO by the key that the node has now.',
  });
