/** The nodes in the routing table: one entry each, with whether it is there, whether it takes agents, and how busy it is. */

import { routeKey } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { NodeRoute } from '@fleetwire/gen/message';
import { slices } from '@fleetwire/kernel';
import type { PresentEntry } from '../domain/route-diff.ts';
import type { EpochRows } from '../store/epochs.ts';
import type { NodeRows, RoutedNode } from '../store/nodes.ts';
import type { RouteTable } from './route-table.ts';

const PAGE = 1000;
const AT_ONCE = 16;

export class NodeRoutes {
  readonly #table: Pick<RouteTable, 'change' | 'remove'>;

  constructor(table: Pick<RouteTable, 'change' | 'remove'>) {
    this.#table = table;
  }

  /** Resolves when the table has this state of the node, or a later one. The load stays. */
  ensure(node: RoutedNode): Promise<void> {
    return this.#change(routeKey(node.org, node.id), (there) => {
      const wanted = routeOfNode(node, there?.load ?? 0);
      return there && (there.epoch > wanted.epoch || sameNode(there, wanted)) ? undefined : wanted;
    });
  }

  /** 0 idle to 10 busy. Nothing happens when the table does not have the node. */
  setLoad(org: string, node: string, load: number): Promise<void> {
    return this.#change(routeKey(org, node), (there) =>
      there === undefined || there.load === load ? undefined : { ...there, load },
    );
  }

  /** Only of what is gone from PostgreSQL. Whoever is about to write it will see that it was removed. */
  remove(org: string, node: string): Promise<void> {
    return this.#table.remove(org, node);
  }

  #change(key: string, change: (there: NodeRoute | undefined) => NodeRoute | undefined): Promise<void> {
    return this.#table.change(key, (bytes) => {
      const route = change(bytes && decoded(bytes));
      return route && encode(NodeRoute, route);
    });
  }
}

export interface MendNodesParts {
  readonly nodes: Pick<NodeRows, 'scan'>;
  readonly nodeRoutes: Pick<NodeRoutes, 'ensure'>;
  readonly epochs: Pick<EpochRows, 'renew'>;
}

/**
 * Makes the table say of the nodes in PostgreSQL what that says; gives the keys of those that it had to write. `present` was
 * read before; what is left of nodes in it has no row.
 */
export async function mendNodes(
  { nodes, nodeRoutes, epochs }: MendNodesParts,
  present: Map<string, PresentEntry>,
  over: AbortSignal,
): Promise<string[]> {
  const wrong: RoutedNode[] = [];
  for (let after = ''; !over.aborted; ) {
    const page = await nodes.scan(after, PAGE);
    for (const row of await caughtUp(epochs, page, present)) {
      const key = routeKey(row.org, row.id);
      const entry = present.get(key);
      present.delete(key);
      if (isWrong(entry && decoded(entry.bytes), row)) wrong.push(row);
    }
    if (page.length < PAGE) break;
    after = page.at(-1)!.id;
  }
  for (const some of slices(wrong, AT_ONCE)) {
    if (over.aborted) break;
    await Promise.all(some.map((row) => nodeRoutes.ensure(row)));
  }
  return wrong.map(({ org, id }) => routeKey(org, id));
}

/** Rows were read after the table: one that is behind it nevertheless comes from a backup, and gets a new epoch. */
async function caughtUp(
  epochs: Pick<EpochRows, 'renew'>,
  page: readonly RoutedNode[],
  present: ReadonlyMap<string, PresentEntry>,
): Promise<readonly RoutedNode[]> {
  const behind = page.filter((row) => (present.get(routeKey(row.org, row.id))?.epoch ?? 0) > row.epoch);
  if (behind.length === 0) return page;
  const renewed = await epochs.renew('node', behind);
  return page.map((row) => ({ ...row, epoch: renewed.get(row.id) ?? row.epoch }));
}

const isWrong = (there: NodeRoute | undefined, row: RoutedNode): boolean =>
  there === undefined || (there.epoch <= row.epoch && !sameNode(there, routeOfNode(row, there.load)));

function routeOfNode(node: RoutedNode, load: number): NodeRoute {
  const { id, name, epoch, shard, draining } = node;
  return { node: id, name, epoch, shard, online: node.status === 'online', draining, load };
}

function sameNode(a: NodeRoute, b: NodeRoute): boolean {
  return (
    a.node === b.node &&
    a.name === b.name &&
    a.epoch === b.epoch &&
    a.shard === b.shard &&
    a.online === b.online &&
    a.draining === b.draining
  );
}

function decoded(bytes: Uint8Array): NodeRoute | undefined {
  try {
    return NodeRoute.decode(bytes);
  } catch {
    return undefined;
  }
}
