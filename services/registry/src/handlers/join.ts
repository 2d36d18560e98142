/** Join: a join token makes a machine a node of an org. */

import { partitionOf } from '@fleetwire/contract';
import type { JoinRequest, JoinResponse } from '@fleetwire/gen/registry';
import { hubKeyOf } from '@fleetwire/identity';
import { checkName, foldName, newId, nowMs } from '@fleetwire/kernel';
import {
  checkPublicKey,
  limitReached,
  nodeAlreadyJoined,
  nodeNameTaken,
  nodeRemoved,
  ownerDeparted,
} from '../domain/errors.ts';
import { orgClosed, requireOpen } from '../domain/orgs.ts';
import { freeSuggestion, suggestions } from '../domain/suggest.ts';
import { shutOutNodes } from './departures.ts';
import { tellOfNode } from './node-news.ts';
import type { RegistryParts } from './parts.ts';

/** All nodes are in the first inbox stream until there is a second. */
const SHARD = 0;

/**
 * The token is spent before the name is looked at, since only it tells the org; org takes it again from the same key,
 * so a machine whose name was taken tries another with the same token.
 */
export async function join(parts: RegistryParts, request: JoinRequest): Promise<JoinResponse> {
  const { nodeName: name, publicKey, joinToken } = request;
  checkName(name, 'node');
  checkPublicKey(publicKey);
  // Before the token is spent: no other token helps this key.
  if ((await parts.nodeKeys.removed(publicKey)) !== null) throw nodeRemoved();
  const { org, user: owner } = await parts.org.redeemJoinToken({ joinToken, publicKey });
  const access = requireOpen(parts.orgs, org);
  const id = newId('node', parts.random);
  const node = {
    id,
    org,
    name,
    folded: foldName(name),
    publicKey,
    partition: partitionOf(org, id, parts.partitions),
    shard: SHARD,
    joinedAtMs: nowMs(parts.clock),
    lastSeenAtMs: 0,
    deletion: access?.state.deletion ?? 0,
    owner,
  };
  const max = parts.config.nodes_max;
  const outcome = await parts.nodes.insert(node, Math.min(max, access?.planLimit('nodes') ?? max));
  const joined = async (as: string): Promise<JoinResponse> => {
    const signing = await parts.hub(org);
    return { node: as, org, hubKey: signing === undefined ? '' : hubKeyOf(signing) };
  };
  if (outcome === 'inserted') {
    // Who left before the node was there is seen here; who leaves now, by `Departures`.
    if (parts.orgs.get(org)?.state.departed.some(({ user }) => user === owner)) {
      await shutOutNodes(parts, org, owner);
      throw ownerDeparted();
    }
    tellOfNode(parts, 'node_joined', node, 0, { actor: owner || 'registry' });
    return joined(id);
  }
  if (outcome === 'org_cleared') throw orgClosed(org);
  const present = await parts.nodes.byPublicKey(publicKey);
  if (present !== null) {
    if (present.org === org && present.folded === node.folded) return joined(present.id);
    throw nodeAlreadyJoined(present.org === org ? present.name : undefined);
  }
  if ((await parts.nodeKeys.removed(publicKey)) !== null) throw nodeRemoved();
  const taken = await parts.nodes.taken(org, [node.folded, ...suggestions(name, 'node').map(foldName)]);
  if (taken.has(node.folded)) throw nodeNameTaken(name, freeSuggestion(name, 'node', taken, foldName));
  const beyondPlan = access?.admit('node', await parts.nodes.countOfOrg(org));
  throw beyondPlan ?? limitReached('NODE_LIMIT', `the org has ${max} nodes`);
}
