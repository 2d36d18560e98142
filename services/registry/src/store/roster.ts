/** Writes many agents of one node at once. */

import type { Store } from '@fleetwire/store';
import { insertAgents, type NewAgent, roomFor } from './agent-writes.ts';
import type { AgentBounds, InsertOutcome } from './agents.ts';

export interface RosterInsert {
  /** Id to epoch. */
  readonly inserted: ReadonlyMap<string, number>;
  /** Of those after which there was no room any more; undefined: there was room for all. */
  readonly refused: InsertOutcome | undefined;
  /** How many were tried; the rest is refused. */
  readonly tried: number;
}

export function rosterRows(store: Store) {
  return {
    /** Later agents than this have a greater epoch. */
    epochNow: async (): Promise<number> => {
      const [row] = await store.query<{ epoch: number }>(`select nextval('route_epochs') as epoch`);
      return row!.epoch;
    },

    /** As many, in order, as there is room for; those whose name is taken are left out. Exact at any number of replicas. */
    insert: (
      org: string,
      node: string,
      agents: readonly Omit<NewAgent, 'org' | 'node'>[],
      bounds: AgentBounds,
    ): Promise<RosterInsert> =>
      store.transaction(async ({ query }) => {
        const room = await roomFor(query, org, node, bounds);
        const tried = room.draining ? 0 : Math.min(agents.length, room.onNode, room.inOrg);
        const inserted =
          tried === 0
            ? new Map<string, number>()
            : await insertAgents(query, org, node, agents.slice(0, tried));
        if (tried === agents.length) return { inserted, refused: undefined, tried };
        const refused = room.gone
          ? 'node_gone'
          : room.draining
            ? 'node_draining'
            : room.onNode <= room.inOrg
              ? 'node_full'
              : 'org_full';
        return { inserted, refused, tried };
      }),

    idsOf: async (node: string): Promise<string[]> => {
      const rows = await store.query<{ id: string }>('select id from agents where node = $1', [node]);
      return rows.map(({ id }) => id);
    },

    /**
     * At most `limit` of the node's agents that are in neither list and whose rows are not later than `epoch`. Not those that
     * have moved there lately, of which the node may not know yet, unless it says that it has removed them.
     */
    missing: async (
      node: string,
      roster: {
        readonly ids: readonly string[];
        readonly folded: readonly string[];
        readonly removed: readonly string[];
      },
      epoch: number,
      limit: number,
    ): Promise<string[]> => {
      const rows = await store.query<{ id: string }>(
        `select id from agents a where node = $1 and epoch <= $3
           and not exists (select from unnest($2::text[]) as u (id) where u.id = a.id)
           and not folded = any ($4)
           and (id = any ($5) or not exists (select from moves m where m.agent = a.id and m.to_node = $1)) limit $6`,
        [node, roster.ids, epoch, roster.folded, roster.removed, limit],
      );
      return rows.map(({ id }) => id);
    },
  };
}

export type RosterRows = ReturnType<typeof rosterRows>;
