/** Reads and writes nodes. */

import type { Store } from '@fleetwire/store';
import { Node, type NodeRow, Secret } from './entities.ts';
import { lockOrg } from './orgs.ts';

export type NewNode = Omit<NodeRow, 'agents' | 'status' | 'version' | 'platform'>;
export type NodeInsert = 'inserted' | 'refused' | 'org_cleared';

export interface SeenBatch {
  readonly node: string;
  readonly atMs: number;
}

export function nodeRows(store: Store) {
  return {
    byId: (id: string): Promise<NodeRow | null> => store.run((em) => em.findOne(Node, { id })),
    byPublicKey: (publicKey: string): Promise<NodeRow | null> =>
      store.run((em) => em.findOne(Node, { publicKey })),

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

    greeted: async (id: string, version: string, platform: string, protocol: number): Promise<void> => {
      await store.query('update nodes set version = $2, platform = $3, protocol = $4 where id = $1', [
        id,
        version,
        platform,
        protocol,
      ]);
    },

    list: (org: string, after: string, limit: number): Promise<NodeRow[]> =>
      store.run((em) =>
        em.find(Node, { org, folded: { $gt: after } }, { orderBy: { folded: 'asc' }, limit }),
      ),

    /** Never takes a moment back: batches of two replicas may arrive in any order. */
    seen: async (batch: readonly SeenBatch[], onlineSinceMs: number): Promise<void> => {
      await store.query(
        `update nodes n set last_seen_at_ms = greatest(n.last_seen_at_ms, b.at_ms),
           status = case when b.at_ms > $3 then 'online' else n.status end
         from unnest($1::text[], $2::bigint[]) as b (id, at_ms) where n.id = b.id`,
        [batch.map((b) => b.node), batch.map((b) => b.atMs), onlineSinceMs],
      );
    },

    /** Names of the nodes that went offline by this call. */
    sweep: async (silentSinceMs: number): Promise<string[]> => {
      const rows = await store.query<{ name: string }>(
        `update nodes set status = 'offline' where status = 'online' and last_seen_at_ms <= $1 returning name`,
        [silentSinceMs],
      );
      return rows.map((row) => row.name);
    },

    /** The secret that all replicas share; made at the first start. */
    secret: async (name: string, fresh: Uint8Array): Promise<Uint8Array> => {
      await store.query('insert into secrets (name, value) values ($1, $2) on conflict do nothing', [
        name,
        Buffer.from(fresh),
      ]);
      return store.run(async (em) => (await em.findOneOrFail(Secret, { name })).value);
    },
  };
}

export type NodeRows = ReturnType<typeof nodeRows>;

function insert(store: Store, node: NewNode, limit: number): Promise<NodeInsert> {
  return store.transaction(async ({ query }) => {
    const cleared = await lockOrg(query, node.org);
    if (cleared > node.deletion) return 'org_cleared';
    const rows = await query(
      `insert into nodes (id, org, name, folded, public_key, partition, shard, status, version, platform, agents,
         joined_at_ms, last_seen_at_ms, deletion)
       select $1, $2, $3, $4, $5, $6, $7, 'offline', '', '', 0, $8, $9, $11
       where (select count(*) from nodes where org = $2) < $10
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
