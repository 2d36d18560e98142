/** Reads and writes agents; a name is won by one insert, whatever else happens at the same moment. */

import type { Store } from '@fleetwire/store';
import type { AgentRow } from './entities.ts';
import { takenNames } from './nodes.ts';
import { lockOrg } from './orgs.ts';

/** An agent with what is told of its node. */
export interface PlacedAgent extends AgentRow {
  readonly nodeName: string;
  readonly shard: number;
  readonly lastSeenAtMs: number;
  /** Node from which its mail is still on its way; empty: none. */
  readonly movingFrom: string;
}

export type NewAgent = Omit<AgentRow, 'epoch'>;
export type InsertOutcome = 'inserted' | 'name_taken' | 'node_full' | 'org_full' | 'node_gone';

export interface AgentBounds {
  readonly perNode: number;
  /** Of the whole org; undefined: none. */
  readonly perOrg: number | undefined;
}

const PLACED = `select a.id, a.org, a.name, a.folded, a.node, a.adapter, a.registered_at_ms as "registeredAtMs",
    a.epoch, n.name as "nodeName", n.shard, n.last_seen_at_ms as "lastSeenAtMs",
    coalesce((select m.from_node from moves m where m.agent = a.id and m.to_node = a.node
      and m.state not in ('done', 'over') limit 1), '') as "movingFrom"
  from agents a join nodes n on n.id = a.node`;

export function agentRows(store: Store) {
  const placed = (where: string, params: readonly unknown[]) =>
    store.query<PlacedAgent>(`${PLACED} ${where}`, params);
  const one = async (where: string, params: readonly unknown[]) => (await placed(where, params))[0];
  return {
    /** Exact at any number of replicas. What is refused leaves nothing behind. */
    insert: (agent: NewAgent, bounds: AgentBounds): Promise<InsertOutcome> => insert(store, agent, bounds),

    countOfOrg: async (org: string): Promise<number> => {
      const [row] = await store.query<{ present: number }>(PRESENT, [org]);
      return row!.present;
    },

    byName: (org: string, folded: string) => one('where a.org = $1 and a.folded = $2', [org, folded]),
    byId: (org: string, id: string) => one('where a.org = $1 and a.id = $2', [org, id]),

    /** Of `folded`, those that are taken. */
    taken: (org: string, folded: readonly string[]) => takenNames(store, 'agents', org, folded),

    setAdapter: async (id: string, adapter: string): Promise<void> => {
      await store.query('update agents set adapter = $2 where id = $1', [id, adapter]);
    },

    /** True when this call removed it. */
    remove: (org: string, id: string, node: string): Promise<boolean> =>
      store.transaction(async ({ query }) => {
        const gone = await query('delete from agents where org = $1 and id = $2 and node = $3 returning id', [
          org,
          id,
          node,
        ]);
        if (gone.length === 1) await query('update nodes set agents = agents - 1 where id = $1', [node]);
        return gone.length === 1;
      }),

    list: (org: string, after: string, limit: number) =>
      placed('where a.org = $1 and a.folded > $2 order by a.folded limit $3', [org, after, limit]),

    /** Names of about the length of a mistyped one, to choose a suggestion from. */
    namesLike: async (org: string, length: number, slack: number, limit: number): Promise<string[]> => {
      const rows = await store.query<{ name: string }>(
        'select name from agents where org = $1 and length(folded) between $2 and $3 limit $4',
        [org, length - slack, length + slack, limit],
      );
      return rows.map((row) => row.name);
    },

    /** All agents of all orgs in the order of their ids, `limit` after `afterId`. */
    scan: (afterId: string, limit: number) =>
      placed('where a.id > $1 order by a.id limit $2', [afterId, limit]),

    byIds: (ids: readonly string[]) => placed('where a.id = any ($1)', [ids]),
  };
}

export type AgentRows = ReturnType<typeof agentRows>;

/** Nodes are few and each knows the number of its agents. */
const PRESENT = 'select coalesce(sum(agents), 0)::int as present from nodes where org = $1';
const FOREIGN_KEY_VIOLATION = '23503';

/** Thrown to undo the insert. */
class Refused extends Error {
  readonly outcome: InsertOutcome;
  constructor(outcome: InsertOutcome) {
    super(outcome);
    this.outcome = outcome;
  }
}

function insert(store: Store, a: NewAgent, bounds: AgentBounds): Promise<InsertOutcome> {
  const attempt = store.transaction(async ({ query }): Promise<InsertOutcome> => {
    const rows = await query(
      `insert into agents (id, org, name, folded, node, adapter, registered_at_ms, epoch)
       values ($1, $2, $3, $4, $5, $6, $7, nextval('route_epochs')) on conflict (org, folded) do nothing returning id`,
      [a.id, a.org, a.name, a.folded, a.node, a.adapter, a.registeredAtMs],
    );
    if (rows.length === 0) return 'name_taken';
    // From here to the commit one at a time, so that each sees what the one before has added.
    if (bounds.perOrg !== undefined) await lockOrg(query, a.org);
    const counted = await query(
      'update nodes set agents = agents + 1 where id = $1 and agents < $2 returning agents',
      [a.node, bounds.perNode],
    );
    if (counted.length === 0) throw new Refused('node_full');
    if (bounds.perOrg !== undefined) {
      const [row] = await query<{ present: number }>(PRESENT, [a.org]);
      if (row!.present > bounds.perOrg) throw new Refused('org_full');
    }
    return 'inserted';
  });
  return attempt.catch((error: unknown) => {
    if (error instanceof Refused) return error.outcome;
    if ((error as { code?: unknown }).code === FOREIGN_KEY_VIOLATION) return 'node_gone';
    throw error;
  });
}
