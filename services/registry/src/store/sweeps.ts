/** Agents whose nodes are silent for too long, and agents of suspended workspaces. */

import type { Store } from '@fleetwire/store';

export interface SilentNode {
  readonly id: string;
  readonly org: string;
  readonly name: string;
  readonly lastSeenAtMs: number;
}

export function sweepRows(store: Store) {
  return {
    /** Nodes with agents that were not heard of after `silentSinceMs`; of one that was never heard of its join counts. */
    silentNodes: (silentSinceMs: number, limit: number): Promise<SilentNode[]> =>
      store.query(
        `select id, org, name, greatest(last_seen_at_ms, joined_at_ms) as "lastSeenAtMs" from nodes
         where agents > 0 and last_seen_at_ms <= $1 and joined_at_ms <= $1 order by id limit $2`,
        [silentSinceMs, limit],
      ),

    /** Agents of the node that were registered by then. */
    agentsOf: async (node: string, registeredUntilMs: number, limit: number): Promise<string[]> => {
      const rows = await store.query<{ id: string }>(
        'select id from agents where node = $1 and registered_at_ms <= $2 limit $3',
        [node, registeredUntilMs, limit],
      );
      return rows.map(({ id }) => id);
    },

    /**
     * Ids of the agents of the org that this call has changed: suspended are those of these names, and no others. All replicas
     * do it at the same moment, so they lock in one order.
     */
    suspend: async (org: string, folded: readonly string[]): Promise<string[]> => {
      const rows = await store.query<{ id: string }>(
        `with wrong as (
           select id from agents where org = $1 and suspended <> (folded = any ($2)) order by id for update
         )
         update agents a set suspended = not suspended, epoch = nextval('route_epochs')
         from wrong where a.id = wrong.id returning a.id`,
        [org, folded],
      );
      return rows.map(({ id }) => id);
    },

    orgsWithSuspended: async (): Promise<string[]> => {
      const rows = await store.query<{ org: string }>('select distinct org from agents where suspended');
      return rows.map(({ org }) => org);
    },
  };
}

export type SweepRows = ReturnType<typeof sweepRows>;
