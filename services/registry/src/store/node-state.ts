/** Reads and writes what a node is at the moment: who holds its identity, what it was asked to do, what others must notice. */

import type { Store } from '@fleetwire/store';
import type { StoredFacts } from './entities.ts';
import { ROUTED, type RoutedNode } from './nodes.ts';

/** What a HELLO tells. */
export interface Greeting {
  readonly version: string;
  readonly platform: string;
  readonly protocol: number;
  readonly instance: string;
  readonly machine: string;
  readonly host: string;
  /** Undefined: what is known stays. */
  readonly facts: StoredFacts | undefined;
  /** See `useNonce`. */
  readonly usedNonces: readonly string[];
}

/** A node that was written since a look. */
export interface NodeChange {
  readonly id: string;
  readonly lastSeenAtMs: number;
  readonly leftAtMs: number;
  readonly revision: number;
  readonly roster: number;
}

/** Agents whose mail a node is to hand over. */
export interface MovingRow {
  readonly node: string;
  readonly agent: string;
  readonly epoch: number;
}

/** Agents that left nodes and do not live there again, also some time after their mail has followed. */
const MOVING = `select m.from_node as node, m.agent, max(m.epoch) as epoch from moves m left join agents a on a.id = m.agent
  where m.to_node <> '' and m.state not in ('opening', 'recalled') and a.node is distinct from m.from_node`;
const EACH_ONCE = 'group by m.from_node, m.agent';

export function nodeState(store: Store) {
  const changed = async (set: string, where: string, params: readonly unknown[]) => {
    const sql = `update nodes set revision = revision + 1, ${set} where ${where} returning ${ROUTED}`;
    const [row] = await store.query<RoutedNode>(sql, params);
    return row;
  };
  return {
    /** Undefined: the row is another one than at `revision`. Online from now on. */
    greeted: (id: string, revision: number, told: Greeting, atMs: number): Promise<RoutedNode | undefined> =>
      changed(
        `version = $3, platform = $4, protocol = $5, instance = $6, machine = $7, host = $8,
         facts = coalesce($9::jsonb, facts), used_nonces = $11, last_seen_at_ms = greatest(last_seen_at_ms, $10),
         left_at_ms = least(left_at_ms, $10 - 1),
         epoch = case when status = 'offline' then nextval('route_epochs') else epoch end, status = 'online'`,
        'id = $1 and revision = $2',
        [
          id,
          revision,
          told.version,
          told.platform,
          told.protocol,
          told.instance,
          told.machine,
          told.host,
          told.facts === undefined ? null : JSON.stringify(told.facts),
          atMs,
          told.usedNonces,
        ],
      ),

    setFacts: async (id: string, facts: StoredFacts): Promise<void> => {
      await store.query('update nodes set facts = $2::jsonb where id = $1 and facts <> $2::jsonb', [
        id,
        JSON.stringify(facts),
      ]);
    },

    /** Written unless one was noted after `staleMs`, whichever: many that take turns cost no more than one. True: it was. */
    contended: async (id: string, contender: string, atMs: number, staleMs: number): Promise<boolean> => {
      const where = 'id = $1 and contender_at_ms <= $4';
      return (
        (await changed('contender = $2, contender_at_ms = $3', where, [id, contender, atMs, staleMs])) !==
        undefined
      );
    },

    /** Undefined: it is so already. */
    drain: (id: string, draining: boolean): Promise<RoutedNode | undefined> =>
      changed(`draining = $2, epoch = nextval('route_epochs')`, 'id = $1 and draining <> $2', [id, draining]),

    askRotation: (id: string) => changed('rotate = true', 'id = $1 and not rotate', [id]),

    adopt: (id: string, owner: string): Promise<RoutedNode | undefined> =>
      changed(`owner = $2, shut_out = ''`, 'id = $1', [id, owner]),

    /** Nodes written since `sinceMs` of PostgreSQL's clock (0: all), and its clock now. */
    changedSince: async (sinceMs: number): Promise<{ nowMs: number; nodes: NodeChange[] }> => {
      const [clock] = await store.query<{ nowMs: number }>(
        `select (extract(epoch from clock_timestamp()) * 1000)::bigint as "nowMs"`,
      );
      const nodes = await store.query<NodeChange>(
        `select id, last_seen_at_ms as "lastSeenAtMs", left_at_ms as "leftAtMs", revision, roster
         from nodes where noted_at_ms >= $1`,
        [sinceMs],
      );
      return { nowMs: clock!.nowMs, nodes };
    },

    /** Nodes that were removed since then, in broker time. */
    removedSince: async (sinceMs: number): Promise<string[]> => {
      const rows = await store.query<{ node: string }>(
        `select distinct node from removed_keys where removed_at_ms >= $1 and reason = 'removed'`,
        [sinceMs],
      );
      return rows.map(({ node }) => node);
    },

    /** Of all nodes, at most `limit`. */
    moving: (limit: number): Promise<MovingRow[]> =>
      store.query<MovingRow>(`${MOVING} ${EACH_ONCE} order by m.from_node limit $1`, [limit]),

    movingFrom: (node: string, limit: number): Promise<MovingRow[]> =>
      store.query<MovingRow>(`${MOVING} and m.from_node = $1 ${EACH_ONCE} order by epoch limit $2`, [
        node,
        limit,
      ]),

    /** Moves to or from each of these nodes that are under way. */
    movesOf: async (ids: readonly string[]): Promise<Map<string, number>> => {
      const rows = await store.query<{ id: string; moves: number }>(
        `select u.id, count(*)::int as moves from unnest($1::text[]) as u (id)
           join moves m on u.id in (m.from_node, m.to_node)
         where m.state not in ('done', 'over') and m.to_node <> '' group by u.id`,
        [ids],
      );
      return new Map(rows.map(({ id, moves }) => [id, moves]));
    },

    /** As `rosterDigest` of the ids of the node's agents, and of which state of its roster. */
    rosterDigest: async (id: string): Promise<{ digest: number; roster: number } | undefined> => {
      const [row] = await store.query<{ digest: number; roster: number }>(
        `select n.roster, (select coalesce(bit_xor(('x' || encode(substring(sha256(convert_to(a.id, 'UTF8')) from 1 for 6),
             'hex'))::bit(48)::bigint), 0) from agents a where a.node = n.id) as digest
         from nodes n where n.id = $1`,
        [id],
      );
      return row;
    },
  };
}

export type NodeState = ReturnType<typeof nodeState>;
