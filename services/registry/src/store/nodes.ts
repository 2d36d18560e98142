/** Reads and writes nodes. */

import type { Store } from '@fleetwire/store';
import { Node, type NodeRow } from './entities.ts';
import { lockOrg } from './orgs.ts';

export type NewNode = Pick<
  NodeRow,
  | 'id'
  | 'org'
  | 'name'
  | 'folded'
  | 'publicKey'
  | 'partition'
  | 'shard'
  | 'joinedAtMs'
  | 'lastSeenAtMs'
  | 'deletion'
> & { readonly owner?: string };
export type NodeInsert = 'inserted' | 'refused' | 'org_cleared';

/** What the routing table says of a node. */
export type RoutedNode = Pick<NodeRow, 'id' | 'org' | 'name' | 'shard' | 'status' | 'draining' | 'epoch'>;

export const ROUTED = 'id, org, name, shard, status, draining, epoch';

export interface SeenBatch {
  readonly node: string;
  readonly atMs: number;
}

export function nodeRows(store: Store) {
  return {
    byId: (id: string): Promise<NodeRow | null> => store.run((em) => em.findOne(Node, { id })),
    /** Also by the key that it had before, while that is taken. */
    byPublicKey: (publicKey: string): Promise<NodeRow | null> =>
      store.run((em) => em.findOne(Node, { $or: [{ publicKey }, { oldPublicKey: publicKey }] })),

    /**
     * `refused`: the org has `limit` nodes, or one of this name, or the key is in use; `org_cleared`: it was cleared for
     * a deletion that `node` knows nothing of. Then nothing was written. Exact at any number of replicas.
     */
    insert: (node: NewNode, limit: number): Promise<NodeInsert> => insert(store, node, limit),

    countOfOrg: async (org: string): Promise<number> => {
      const sql = 'select count(*)::int as present from nodes where org = $1';
      const [row] = await store.query<{ present: number }>(sql, [org]);
      return row!.present;
    },

    /** Of `folded`, those that are taken. */
    taken: (org: string, folded: readonly string[]): Promise<Set<string>> =>
      takenNames(store, 'nodes', org, folded),

    byName: (org: string, folded: string): Promise<NodeRow | null> =>
      store.run((em) => em.findOne(Node, { org, folded })),

    /** Names of about the length of a mistyped one. */
    namesLike: (org: string, length: number, slack: number, limit: number) =>
      namesLike(store, 'nodes', org, length, slack, limit),

    list: (org: string, after: string, limit: number): Promise<NodeRow[]> =>
      store.run((em) =>
        em.find(Node, { org, folded: { $gt: after } }, { orderBy: { folded: 'asc' }, limit }),
      ),

    /**
     * Never takes a moment back: batches of two replicas may arrive in any order. Gives the nodes that came online by it.
     */
    seen: async (batch: readonly SeenBatch[], onlineSinceMs: number): Promise<RoutedNode[]> => {
      const heard = 'b.at_ms > $3 and b.at_ms > n.left_at_ms';
      const rows = await store.query<RoutedNode & { was: string }>(
        `update nodes n set last_seen_at_ms = greatest(n.last_seen_at_ms, b.at_ms),
           status = case when ${heard} then 'online' else n.status end,
           epoch = case when ${heard} and n.status = 'offline' then nextval('route_epochs') else n.epoch end
         from unnest($1::text[], $2::bigint[]) as b (id, at_ms) join nodes o on o.id = b.id
         where n.id = b.id
         returning n.id, n.org, n.name, n.shard, n.status, n.draining, n.epoch, o.status as was`,
        [batch.map((b) => b.node), batch.map((b) => b.atMs), onlineSinceMs],
      );
      return rows.filter(({ status, was }) => status === 'online' && was === 'offline');
    },

    /** Offline from now on; undefined: it was heard of later, or is offline already. */
    leave: async (id: string, instance: string, atMs: number): Promise<RoutedNode | undefined> => {
      const [left] = await store.query<RoutedNode>(
        `update nodes set left_at_ms = $3, status = 'offline', revision = revision + 1, epoch = nextval('route_epochs')
         where id = $1 and instance = $2 and last_seen_at_ms <= $3 and left_at_ms < $3 returning ${ROUTED}`,
        [id, instance, atMs],
      );
      return left;
    },

    /** The nodes that went offline by this call, at most `limit`. */
    sweep: (silentSinceMs: number, limit: number): Promise<RoutedNode[]> =>
      store.query<RoutedNode>(
        `update nodes set status = 'offline', epoch = nextval('route_epochs')
         where id in (select id from nodes where status = 'online' and last_seen_at_ms <= $1 limit $2)
           and last_seen_at_ms <= $1 returning ${ROUTED}`,
        [silentSinceMs, limit],
      ),

    /** Those of these that there are. */
    routed: (ids: readonly string[]): Promise<RoutedNode[]> =>
      store.query<RoutedNode>(`select ${ROUTED} from nodes where id = any ($1)`, [ids]),

    /** All nodes of all orgs in the order of their ids, `limit` after `afterId`. */
    scan: (afterId: string, limit: number): Promise<RoutedNode[]> =>
      store.query<RoutedNode>(`select ${ROUTED} from nodes where id > $1 order by id limit $2`, [
        afterId,
        limit,
      ]),
  };
}

export type NodeRows = ReturnType<typeof nodeRows>;

function insert(store: Store, node: NewNode, limit: number): Promise<NodeInsert> {
  return store.transaction(async ({ query }) => {
    const cleared = await lockOrg(query, node.org);
    if (cleared > node.deletion) return 'org_cleared';
    const rows = await query(
      `insert into nodes (id, org, name, folded, public_key, partition, shard, status, version, platform, agents,
         joined_at_ms, last_seen_at_ms, deletion, owner, epoch)
       select $1, $2, $3, $4, $5, $6, $7, 'offline', '', '', 0, $8, $9, $11, $12, nextval('route_epochs')
       where (select count(*) from nodes where org = $2) < $10
         and not exists (select from removed_keys where public_key = $5 and reason <> 'shut_out')
         and not exists (select from nodes where old_public_key = $5)
       on conflict do nothing returning id`,
      [
        node.id,
        node.org,
        node.name,
        node.folded,
        node.publicKey,
        node.partition,
        node.shard,
        node.joinedAtMs,
        node.lastSeenAtMs,
        limit,
        node.deletion,
        node.owner ?? '',
      ],
    );
    return rows.length === 1 ? 'inserted' : 'refused';
  });
}

export async function takenNames(
  store: Store,
  table: 'nodes' | 'agents',
  org: string,
  folded: readonly string[],
): Promise<Set<string>> {
  const rows = await store.query<{ folded: string }>(
    `select folded from ${table} where org = $1 and folded = any ($2)`,
    [org, folded],
  );
  return new Set(rows.map((row) => row.folded));
}

export async function namesLike(
  store: Store,
  table: 'nodes' | 'agents',
  org: string,
  length: number,
  slack: number,
  limit: number,
): Promise<string[]> {
  const rows = await store.query<{ name: string }>(
    `select name from ${table} where org = $1 and length(folded) between $2 and $3 limit $4`,
    [org, length - slack, length + slack, limit],
  );
  return rows.map((row) => row.name);
}
