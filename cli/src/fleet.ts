/** The agents, nodes, channels and groups of the org, all pages of them, and one of them found by what people call it. */

import type { Agent, Channel, Node } from '@fleetwire/gen/registry';
import { checkName, isId } from '@fleetwire/kernel';
import { allRows } from './all-pages.ts';
import type { Hub } from './hub.ts';
import { type Kind, pick } from './lookup.ts';

/** The org's plan bounds how many agents there can be. */
export const allAgents = (
  hub: Hub,
  filter: { readonly node?: string; readonly capability?: string } = {},
): Promise<Agent[]> =>
  allRows(
    (page) => hub.registry.listAgents({ ...filter, ...page }),
    (page) => page.agents,
  );

/** The org's plan bounds how many nodes there can be. */
export const allNodes = (hub: Hub): Promise<Node[]> =>
  allRows(
    (page) => hub.registry.listNodes(page),
    (page) => page.nodes,
  );

export const allChannels = (hub: Hub, kind: ChannelKind): Promise<Channel[]> =>
  allRows(
    (page) => hub.registry.listChannels({ kind, ...page }),
    (page) => page.channels,
  );

export const allMembersOf = (hub: Hub, channel: string): Promise<Agent[]> =>
  allRows(
    (page) => hub.registry.listChannelMembers({ channel, ...page }),
    (page) => page.agents,
  );

export type ChannelKind = 'channel' | 'group';

const SIGNS: Readonly<Record<ChannelKind, string>> = { channel: '#', group: '%' };

/** The name without its sign. Throws invalid_argument INVALID_NAME. */
export function channelName(kind: ChannelKind, given: string): string {
  const name = given.startsWith(SIGNS[kind]) ? given.slice(1) : given;
  checkName(name, kind);
  return name;
}

/** As requests name it: an id as it is, a name with its sign. Throws invalid_argument INVALID_NAME. */
export const channelAddress = (kind: ChannelKind, given: string): string =>
  isId('channel', given) ? given : `${SIGNS[kind]}${channelName(kind, given)}`;

/** Ids and names of agents, as people give them. Throws invalid_argument INVALID_NAME. */
export function checkAgents(given: readonly string[]): string[] {
  return given.map(checkAgent);
}

/** Throws invalid_argument INVALID_NAME. */
export function checkAgent(given: string): string {
  if (!isId('agent', given)) checkName(given, 'agent');
  return given;
}

/** Throws invalid_argument INVALID_NAME. */
export function checkNode(given: string): string {
  if (!isId('node', given)) checkName(given, 'node');
  return given;
}

const NODE: Kind<Node> = {
  what: 'node',
  prefix: 'node',
  reason: 'NODE_UNKNOWN',
  list: 'fleetwire node list',
  idOf: (row) => row.id,
  nameOf: (row) => row.name,
};

/** By name, regardless of case, or id. Rejects not_found NODE_UNKNOWN. */
export async function findNode(hub: Hub, given: string): Promise<Node> {
  return pick(NODE, given, await allNodes(hub));
}
