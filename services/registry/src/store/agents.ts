/** Reads agents, and hands on what writes them. */

import type { Store } from '@fleetwire/store';
import {
  type AgentBounds,
  agentsOfOrg,
  insertOne,
  type NewAgent,
  type Refreshed,
  type Removal,
  refresh,
  removeAgents,
  rename,
} from './agent-writes.ts';
import type { AgentRow } from './entities.ts';
import { namesLike, takenNames } from './nodes.ts';

export type { AgentBounds, InsertOutcome, NewAgent, RemovedAgent } from './agent-writes.ts';

/** An agent with what is told of its node. */
export interface PlacedAgent extends AgentRow {
  readonly nodeName: string;
  readonly shard: number;
  readonly lastSeenAtMs: number;
  /** When the node said goodbye last; 0: never. */
  readonly leftAtMs: number;
  /** Id of the node that its mail is on the way from; empty: none. */
  readonly movingFrom: string;
}

export interface HomeRow {
  readonly agent: string;
  readonly node: string;
  /** Milliseconds since it left, by the one clock that also noted it. */
  readonly agoMs: number | null;
}

/** As the trigger has it: which clock it is does not matter where times are compared with each other alone. */
const NOW_MS = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

const PLACED = `select a.id, a.org, a.name, a.folded, a.node, a.adapter, a.registered_at_ms as "registeredAtMs",
    a.epoch, a.model, a.capabilities, a.tools, a.repo, a.visibility, a.policy_group as "policyGroup", a.location,
    a.movable, a.suspended, n.name as "nodeName", n.shard, n.last_seen_at_ms as "lastSeenAtMs",
    n.left_at_ms as "leftAtMs",
    coalesce((select m.from_node from moves m where m.agent = a.id and m.to_node = a.node
      and m.state not in ('done', 'over') order by m.epoch desc limit 1), '') as "movingFrom"
  from agents a join nodes n on n.id = a.node`;

export function agentRows(store: Store) {
  const placed = (where: string, params: readonly unknown[]) =>
    store.query<PlacedAgent>(`${PLACED} ${where}`, params);
  const one = async (where: string, params: readonly unknown[]) => (await placed(where, params))[0];
  return {
    /** Exact at any number of replicas. What is refused leaves nothing behind. */
    insert: (agent: NewAgent, bounds: AgentBounds) => insertOne(store, agent, bounds),

    countOfOrg: (org: string): Promise<number> => agentsOfOrg(store.query, org),

    byName: (org: string, folded: string) => one('where a.org = $1 and a.folded = $2', [org, folded]),
    byId: (org: string, id: string) => one('where a.org = $1 and a.id = $2', [org, id]),
    byIds: (ids: readonly string[]) => placed('where a.id = any ($1)', [ids]),
    /** Those that are meant by their ids or by their folded names. */
    meant: (org: string, ids: readonly string[], folded: readonly string[]) =>
      placed('where a.org = $1 and (a.id = any ($2) or a.folded = any ($3))', [org, ids, folded]),

    /** Of `folded`, those that are taken. */
    taken: (org: string, folded: readonly string[]) => takenNames(store, 'agents', org, folded),

    /** Gives the new epoch of each that is (still) of this node. */
    refresh: (node: string, rows: readonly Refreshed[]): Promise<Map<string, number>> =>
      refresh(store, node, rows),

    rename: (
      org: string,
      id: string,
      node: string,
      name: { readonly name: string; readonly folded: string },
    ) => rename(store, org, id, node, name),

    /** Those that this call removed. */
    remove: (removal: Removal) => store.transaction(({ query }) => removeAgents(query, removal)),

    /** Of these, those that people have removed. */
    dismissed: async (ids: readonly string[]): Promise<Set<string>> => {
      const sql = 'select id from dismissed where id = any ($1)';
      const rows = ids.length === 0 ? [] : await store.query<{ id: string }>(sql, [ids]);
      return new Set(rows.map(({ id }) => id));
    },

    /** Where each of these agents of the org lives or is on the way from (`agoMs` null), and where it has lived. */
    homes: (org: string, ids: readonly string[]): Promise<HomeRow[]> =>
      store.query<HomeRow>(
        `select id as agent, node, null::bigint as "agoMs" from agents where org = $1 and id = any ($2)
         union all select m.agent, m.from_node, null from moves m join agents a on a.id = m.agent and a.node = m.to_node
           where m.org = $1 and m.agent = any ($2) and m.state not in ('done', 'over')
         union all select agent, node, ${NOW_MS} - left_at_ms from former_homes where org = $1 and agent = any ($2)`,
        [org, ids],
      ),

    /** What was longer ago. */
    forgetHomes: async (agoMs: number): Promise<void> => {
      await store.query(`delete from former_homes where left_at_ms < ${NOW_MS} - $1::bigint`, [agoMs]);
    },

    /** Nodes that were away for longer bring back what was removed before. */
    forgetDismissed: async (beforeMs: number): Promise<void> => {
      await store.query('delete from dismissed where removed_at_ms < $1', [beforeMs]);
    },

    list: (org: string, after: string, limit: number) =>
      placed('where a.org = $1 and a.folded > $2 order by a.folded limit $3', [org, after, limit]),

    /** `node`: id or name. */
    listOfNode: (org: string, node: string, after: string, limit: number) =>
      placed(
        `where a.org = $1 and (n.id = $2 or n.folded = lower($2)) and a.folded > $3 order by a.folded limit $4`,
        [org, node, after, limit],
      ),

    /** Names of about the length of a mistyped one, to choose a suggestion from. */
    namesLike: (org: string, length: number, slack: number, limit: number) =>
      namesLike(store, 'agents', org, length, slack, limit),

    /** All agents of all orgs in the order of their ids, `limit` after `afterId`. */
    scan: (afterId: string, limit: number) =>
      placed('where a.id > $1 order by a.id limit $2', [afterId, limit]),
  };
}

export type AgentRows = ReturnType<typeof agentRows>;
