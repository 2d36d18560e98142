/** Reads and writes what belongs to an org as a whole: its lock, its removal, its numbers. */

import type { Store, StoreTransaction } from '@fleetwire/store';

/** What an org has. */
export interface OrgTotals {
  readonly org: string;
  readonly nodes: number;
  readonly agents: number;
}

export function orgRows(store: Store) {
  return {
    /** From now on nobody joins who knows of fewer deletions than this one. Idempotent; never goes back. */
    close: (org: string, deletion: number): Promise<void> =>
      store.transaction(async ({ query }) => {
        await lockOrg(query, org);
        await query('update orgs set cleared = greatest(cleared, $2) where org = $1', [org, deletion]);
      }),

    /** Ids of agents of the nodes that joined before the deletion. */
    agentsBefore: async (org: string, deletion: number, limit: number): Promise<string[]> => {
      const rows = await store.query<{ id: string }>(
        'select a.id from agents a join nodes n on n.id = a.node where n.org = $1 and n.deletion < $2 limit $3',
        [org, deletion, limit],
      );
      return rows.map(({ id }) => id);
    },

    /** Nodes that joined before the deletion, with where their mail waits. */
    nodesBefore: (org: string, deletion: number, limit: number): Promise<{ id: string; shard: number }[]> =>
      store.query('select id, shard from nodes where org = $1 and deletion < $2 order by id limit $3', [
        org,
        deletion,
        limit,
      ]),

    /** Of these, those that have no agents (any more). */
    removeNodes: async (ids: readonly string[]): Promise<void> => {
      await store.query(
        `delete from nodes where id = any ($1)
           and not exists (select from agents where agents.node = nodes.id)`,
        [ids],
      );
    },

    totals: (): Promise<OrgTotals[]> =>
      store.query<OrgTotals>(
        `select org, count(*)::int as nodes, sum(agents)::int as agents from nodes group by org order by org`,
      ),
  };
}

export type OrgRows = ReturnType<typeof orgRows>;

/** Until the transaction ends nobody else holds it. Gives the deletion for which the org was cleared last. */
export async function lockOrg(query: StoreTransaction['query'], org: string): Promise<number> {
  const [row] = await query<{ cleared: number }>(
    `insert into orgs as o (org, cleared) values ($1, 0)
     on conflict (org) do update set cleared = o.cleared returning cleared`,
    [org],
  );
  return row!.cleared;
}
