/** Entries of the routing table, as they are written from rows and read back. */

import { parseRouteKey, projectOf, routeKey, VISIBILITIES } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { ChannelRoute, NodeRoute, Route } from '@fleetwire/gen/message';
import type { WantedEntry } from '../domain/route-diff.ts';
import type { PlacedAgent } from '../store/agents.ts';
import type { ChannelWithMembers } from '../store/channels.ts';

export type Decoded =
  | { readonly kind: 'agent'; readonly route: Route }
  | { readonly kind: 'node'; readonly route: NodeRoute }
  | { readonly kind: 'channel'; readonly route: ChannelRoute };

export type KeyedEntry = readonly [key: string, entry: WantedEntry];

export function agentEntry(agent: PlacedAgent): KeyedEntry {
  const bytes = encode(Route, routeOf(agent));
  return [routeKey(agent.org, agent.id), { epoch: agent.epoch, bytes }];
}

export function routeOf(agent: PlacedAgent): Route {
  return {
    agent: agent.id,
    name: agent.name,
    node: agent.node,
    nodeName: agent.nodeName,
    epoch: agent.epoch,
    shard: agent.shard,
    capabilities: [...agent.capabilities],
    visibility: Math.max(0, VISIBILITIES.indexOf(agent.visibility)),
    group: agent.policyGroup,
    suspended: agent.suspended,
    movingFrom: agent.movingFrom,
    project: projectOf(agent.repo),
  };
}

export function channelEntry(channel: ChannelWithMembers): KeyedEntry {
  const { id, org, name, kind, epoch, agents } = channel;
  const route = { channel: id, name, epoch, group: kind === 'group', members: [...agents] };
  return [routeKey(org, id), { epoch, bytes: encode(ChannelRoute, route) }];
}

/** Undefined: it is no entry that is known here. */
export function decodeEntry(key: string, bytes: Uint8Array): Decoded | undefined {
  const kind = parseRouteKey(key)?.kind;
  try {
    if (kind === 'agent') return { kind, route: Route.decode(bytes) };
    if (kind === 'node') return { kind, route: NodeRoute.decode(bytes) };
    if (kind === 'channel') return { kind, route: ChannelRoute.decode(bytes) };
  } catch {
    // Whatever wrote it, it is written anew.
  }
  return undefined;
}

/** -1: it cannot be decoded. */
export const epochOf = (key: string, bytes: Uint8Array): number => decodeEntry(key, bytes)?.route.epoch ?? -1;
