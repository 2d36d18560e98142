/** The NATS user of one node: exactly its own subjects, for a limited time. */

import { filters, heartbeatSubject, ingressSubject } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import { EVENTS_FROM } from './accounts.ts';
import { acksOfNode, pullOfNode } from './jetstream-subjects.ts';
import { isNodePublicKey } from './node-key.ts';
import { type MintedUser, mintUser } from './org-user.ts';
import type { OrgSigning } from './trust.ts';

export interface NodeUserOptions {
  /** Of the node's org. */
  readonly signing: OrgSigning;
  readonly org: string;
  readonly node: string;
  /** The node's NKEY. */
  readonly publicKey: string;
  /** The only one it may publish to. */
  readonly partition: number;
  /** Of the inbox stream. */
  readonly shard: number;
  readonly lifetimeMs: number;
  /** Milliseconds since the epoch; default: now by this machine. */
  readonly nowMs?: number;
}

/** Prefix of the reply subjects of a node's connection; its permissions cover no other. */
export const nodeInboxPrefix = (node: string): string => `_INBOX_${node}`;

/** Subscriptions of one node: its receipts and frames, its reply inboxes, its org's events, and some room. */
const NODE_SUBSCRIPTIONS_MAX = 64;

export function nodePermissions(o: Pick<NodeUserOptions, 'org' | 'node' | 'partition' | 'shard'>): {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
} {
  const { org, node, partition, shard } = o;
  return {
    publish: [
      ingressSubject.build({ partition, org, node }),
      filters.receiptsFrom(org, node),
      filters.framesFrom(org, node),
      filters.deadFrom(org, node),
      heartbeatSubject.build({ org, node }),
      pullOfNode(shard, org, node),
      acksOfNode(shard, org, node),
    ],
    subscribe: [
      `${nodeInboxPrefix(node)}.>`,
      filters.receiptsToNode(org, node),
      filters.eventsOf(org, EVENTS_FROM),
      filters.framesToNode(org, node),
    ],
  };
}

/**
 * A user JWT for the holder of the node's private key, issued at `nowMs`; whole seconds, never longer than asked for.
 * Throws NODE_KEY_INVALID.
 */
export async function mintNodeUser(o: NodeUserOptions): Promise<MintedUser> {
  if (!isNodePublicKey(o.publicKey)) {
    throw new FleetwireError('invalid_argument', 'NODE_KEY_INVALID', 'the public key is not a NATS user key');
  }
  return mintUser({
    ...o,
    name: o.node,
    rights: nodePermissions(o),
    subscriptionsMax: NODE_SUBSCRIPTIONS_MAX,
  });
}
