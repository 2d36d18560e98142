/** What follows from a change of a node: its entry in the routing table, an event, and that it hears of it. */

import { asFleetwireError, nowMs } from '@fleetwire/kernel';
import type { RoutedNode } from '../store/nodes.ts';
import type { RegistryParts } from './parts.ts';

type NewsParts = Pick<RegistryParts, 'nodeRoutes' | 'announcer' | 'clock' | 'log'>;
type NodeName = Pick<RoutedNode, 'id' | 'org' | 'name'>;

const MINUTE_MS = 60_000;
const REMEMBERED_MAX = 20_000;
/** The minute in which a state of a node was told last. */
const toldIn = new WeakMap<object, Map<string, number>>();

/** An event about a node; `mark` tells this one from others of the name. */
export function tellOfNode(
  parts: Pick<RegistryParts, 'announcer'>,
  name: string,
  node: NodeName,
  mark: string | number,
  o: { actor?: string; details?: Record<string, string> } = {},
): void {
  const { actor = 'registry', details = {} } = o;
  const id = `registry-${name}-${node.id}-${mark}`;
  parts.announcer.tell({
    org: node.org,
    name,
    target: node.id,
    actor,
    details: { name: node.name, ...details },
    id,
  });
}

/** Nodes that came or went: the table has it when this resolves; as event at most once a minute for each. */
export async function tellPresence(parts: NewsParts, nodes: readonly RoutedNode[]): Promise<void> {
  const minute = Math.floor(nowMs(parts.clock) / MINUTE_MS);
  const told = toldIn.get(parts.announcer) ?? new Map<string, number>();
  toldIn.set(parts.announcer, told);
  for (const node of nodes) {
    const name = node.status === 'online' ? 'node_online' : 'node_offline';
    if (told.get(`${name} ${node.id}`) === minute) continue;
    told.set(`${name} ${node.id}`, minute);
    if (told.size > REMEMBERED_MAX) told.delete(told.keys().next().value!);
    tellOfNode(parts, name, node, minute);
  }
  await Promise.all(nodes.map((node) => parts.nodeRoutes.ensure(node)));
}

/** As `tellPresence`, where nobody waits for it: what fails is corrected by the comparison of the table. */
export async function tellPresenceIfPossible(parts: NewsParts, nodes: readonly RoutedNode[]): Promise<void> {
  try {
    await tellPresence(parts, nodes);
  } catch (error) {
    parts.log.warn(
      { err: asFleetwireError(error), nodes: nodes.length },
      'entries of nodes are not written now',
    );
  }
}
