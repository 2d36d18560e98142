/** What follows from a change of a node: its entry in the routing table, an event, and that it hears of it. */

import type { EventName } from '@fleetwire/contract';
import { asFleetwireError } from '@fleetwire/kernel';
import type { RoutedNode } from '../store/nodes.ts';
import type { Announcer } from './announcer.ts';
import type { RegistryParts } from './parts.ts';

type NewsParts = Pick<RegistryParts, 'nodeRoutes' | 'presence' | 'log'>;
type NodeName = Pick<RoutedNode, 'id' | 'org' | 'name'>;

/** An event about a node; `mark` tells this one from others of the name. */
export function tellOfNode(
  parts: { readonly announcer: Pick<Announcer, 'tell'> },
  name: EventName<'registry'>,
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

/** Nodes that came or went: the table has it when this resolves; as event see `PresenceNews`. */
export async function tellPresence(parts: NewsParts, nodes: readonly RoutedNode[]): Promise<void> {
  for (const node of nodes) parts.presence.tell(node);
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
