/** The nodes in the routing table: one entry each, with whether it is there, whether it takes agents, and how busy it is. */

import type { Bucket, WatchEntry } from '@fleetwire/broker';
import { parseRouteKey, routeKey } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { NodeRoute } from '@fleetwire/gen/message';
import { FleetwireError, slices } from '@fleetwire/kernel';
import type { NodeRows, RoutedNode } from '../store/nodes.ts';

const TRIES = 8;
const RACES = ['KEY_EXISTS', 'REVISION_CONFLICT', 'PUBLISH_IN_DOUBT'];
const PAGE = 1000;
const AT_ONCE = 16;

export class NodeRoutes {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
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

  /** Idempotent. */
  async remove(org: string, node: string): Promise<void> {
    const key = routeKey(org, node);
    if (await this.#bucket.get(key)) await this.#bucket.delete(key);
  }

  /** All entries of nodes there are at this moment, undefined those that cannot be read; rejects when `over` aborts first. */
  async readAll(over: AbortSignal): Promise<Map<string, NodeRoute | undefined>> {
    const found = new Map<string, NodeRoute | undefined>();
    const read = Promise.withResolvers<void>();
    const giveUp = () => read.reject(over.reason);
    const onEntry = ({ key, value }: WatchEntry) => {
      if (parseRouteKey(key)?.kind !== 'node') return;
      if (value === undefined) found.delete(key);
      else found.set(key, decoded(value));
    };
    over.throwIfAborted();
    over.addEventListener('abort', giveUp);
    const watch = await this.#bucket.watch(onEntry, read.resolve, { onClosed: read.reject });
    try {
      await read.promise;
    } finally {
      over.removeEventListener('abort', giveUp);
      watch.stop();
    }
    return found;
  }

  async #change(key: string, change: (there: NodeRoute | undefined) => NodeRoute | undefined): Promise<void> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const entry = await this.#bucket.get(key);
      const route = change(entry && decoded(entry.value));
      if (route === undefined) return;
      try {
        const bytes = encode(NodeRoute, route);
        if (entry) await this.#bucket.update(key, bytes, entry.revision);
        else await this.#bucket.create(key, bytes);
        return;
      } catch (error) {
        if (!(error instanceof FleetwireError && RACES.includes(error.reason))) throw error;
      }
    }
    throw new FleetwireError('aborted', 'ROUTE_CONTENDED', 'the route is being written by others', {
      retryAfterMs: 100,
    });
  }
}

export interface NodeReconcileParts {
  readonly nodes: Pick<NodeRows, 'scan' | 'present'>;
  readonly nodeRoutes: Pick<NodeRoutes, 'ensure' | 'remove' | 'readAll'>;
}

/**
 * Makes the table say of nodes what PostgreSQL says; entries of agents and channels are left alone. Two at once do no harm,
 * nor do nodes that come and go meanwhile.
 */
export async function reconcileNodes(
  { nodes, nodeRoutes }: NodeReconcileParts,
  over: AbortSignal,
): Promise<{ put: number; removed: number }> {
  const wrong: RoutedNode[] = [];
  const present = await nodeRoutes.readAll(over);
  for (let after = ''; ; ) {
    const rows = await nodes.scan(after, PAGE);
    for (const row of rows) {
      const key = routeKey(row.org, row.id);
      const there = present.get(key);
      present.delete(key);
      if (there === undefined || (there.epoch <= row.epoch && !sameNode(there, routeOfNode(row, there.load))))
        wrong.push(row);
    }
    if (rows.length < PAGE || over.aborted) break;
    after = rows.at(-1)!.id;
  }
  if (over.aborted) return { put: 0, removed: 0 };
  for (const some of slices(wrong, AT_ONCE)) await Promise.all(some.map((row) => nodeRoutes.ensure(row)));
  // What was removed while we wrote must not come back by us.
  const suspect = [...present.keys(), ...wrong.map(({ org, id }) => routeKey(org, id))];
  return { put: wrong.length, removed: await removeGoneNodes({ nodes, nodeRoutes }, suspect) };
}

/** Takes away those of the entries whose node is not in PostgreSQL (any more); keys of others are left alone. */
export async function removeGoneNodes(
  { nodes, nodeRoutes }: Pick<NodeReconcileParts, 'nodes'> & { nodeRoutes: Pick<NodeRoutes, 'remove'> },
  keys: readonly string[],
): Promise<number> {
  let removed = 0;
  for (const page of slices(keys, PAGE)) {
    const named = page.map(parseRouteKey).filter((key) => key?.kind === 'node');
    const present = await nodes.present(named.map((key) => key!.id));
    const gone = named.filter((key) => !present.has(key!.id));
    for (const some of slices(gone, AT_ONCE))
      await Promise.all(some.map((key) => nodeRoutes.remove(key!.org, key!.id)));
    removed += gone.length;
  }
  return removed;
}

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
