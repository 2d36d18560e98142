/** Takes entries of the routing table away whose agent, channel or node is not in PostgreSQL (any more). */

import { parseRouteKey, routeKey } from '@fleetwire/contract';
import { slices } from '@fleetwire/kernel';
import type { AgentRows } from '../store/agents.ts';
import type { ChannelRows } from '../store/channels.ts';
import type { NodeRows } from '../store/nodes.ts';
import type { RouteTable } from './route-table.ts';

export interface RemovalParts {
  readonly agents: Pick<AgentRows, 'byIds'>;
  readonly channels: Pick<ChannelRows, 'presentIds'>;
  readonly nodes: Pick<NodeRows, 'routed'>;
  readonly routes: Pick<RouteTable, 'removeKey'>;
}

const PAGE = 1000;
const AT_ONCE = 64;

/** Gives how many; each is looked up at this moment. */
export async function removeGone(parts: RemovalParts, keys: readonly string[]): Promise<number> {
  const { agents, channels, nodes, routes } = parts;
  const rowsOf = {
    agent: (ids: readonly string[]) => agents.byIds(ids),
    channel: (ids: readonly string[]) => channels.presentIds(ids),
    node: (ids: readonly string[]) => nodes.routed(ids),
  };
  let removed = 0;
  for (const page of slices(keys, PAGE)) {
    const named = Map.groupBy(
      page.map(parseRouteKey).filter((key) => key !== undefined),
      ({ kind }) => kind,
    );
    const rows = await Promise.all([...named].map(([kind, some]) => rowsOf[kind](some.map(({ id }) => id))));
    const present = new Set(rows.flat().map(({ org, id }) => routeKey(org, id)));
    const gone = page.filter((key) => !present.has(key));
    for (const some of slices(gone, AT_ONCE)) await Promise.all(some.map((key) => routes.removeKey(key)));
    removed += gone.length;
  }
  return removed;
}
