/** Mail that has to follow an agent, or to go back to its senders: one row for each move, until it is done. */

import type { Store, StoreTransaction } from '@fleetwire/store';

/**
 * opening: announced at the new node, not moved yet. recalled: announced in vain, and the new node is to learn that. routers:
 * the route leads to the new node (or to none), and some router may still send by the old one. waiting: for the old node,
 * which is away. handover: the old node is at it. reading: what waits in the broker is read here. closing: all of it is
 * there. done: by the old node; over: without it.
 */
export type MoveState =
  | 'opening'
  | 'recalled'
  | 'routers'
  | 'waiting'
  | 'handover'
  | 'reading'
  | 'closing'
  | 'done'
  | 'over';

/** One move; its epoch names it, and is lower than that of the route to the new node. */
export interface MoveRow {
  readonly agent: string;
  readonly epoch: number;
  readonly org: string;
  readonly fromNode: string;
  readonly fromShard: number;
  /** Empty: the agent is gone, and its mail goes back. */
  readonly toNode: string;
  readonly toShard: number;
  readonly reason: string;
  readonly state: MoveState;
  readonly changedAtMs: number;
}

/** What a move goes by of a node. */
export interface Party {
  readonly id: string;
  readonly org: string;
  readonly name: string;
  readonly shard: number;
  readonly owner: string;
  readonly protocol: number;
  readonly draining: boolean;
  readonly agents: number;
  readonly lastSeenAtMs: number;
  /** When it said goodbye; it is back when it was seen later. */
  readonly leftAtMs: number;
}

export type NewMove = Omit<MoveRow, 'epoch' | 'state' | 'changedAtMs'>;
export type PlaceOutcome = 'placed' | 'gone' | 'node_full';

/** Why an agent's mail goes back: it was removed, its node was silent for too long, or its node was removed. */
export type ReturnReason = 'agent_removed' | 'agent_swept' | 'node_removed';

export interface Leaving {
  readonly id: string;
  readonly org: string;
  readonly node: string;
  readonly shard: number;
}

/**
 * In the transaction that removes `agents`: what waits for them in the broker is returned to its senders later, by
 * whichever replica is at it.
 */
export async function noteReturn(
  query: StoreTransaction['query'],
  agents: readonly Leaving[],
  reason: ReturnReason,
  nowMs: number,
): Promise<void> {
  if (agents.length === 0) return;
  await query(
    `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason, state, started_at_ms, changed_at_ms)
     select u.agent, nextval('route_epochs'), u.org, u.node, u.shard, '', 0, $5, 'routers', $6, $6
     from unnest($1::text[], $2::text[], $3::text[], $4::int[]) as u (agent, org, node, shard)`,
    [
      agents.map(({ id }) => id),
      agents.map(({ org }) => org),
      agents.map(({ node }) => node),
      agents.map(({ shard }) => shard),
      reason,
      nowMs,
    ],
  );
}

const COLUMNS = `agent, epoch, org, from_node as "fromNode", from_shard as "fromShard", to_node as "toNode",
  to_shard as "toShard", reason, state, changed_at_ms as "changedAtMs"`;
const PARTY = `select id, org, name, shard, owner, protocol, draining, agents,
  last_seen_at_ms as "lastSeenAtMs", left_at_ms as "leftAtMs" from nodes`;
const ENDED = `('done', 'over')`;
type Place = Pick<MoveRow, 'agent' | 'epoch'>;
const FIRST: Place = { agent: '', epoch: 0 };

export function moveRows(store: Store) {
  const { query } = store;
  const first = async <T extends object>(sql: string, params: readonly unknown[]) =>
    (await query<T>(sql, params))[0];
  return {
    party: (id: string) => first<Party>(`${PARTY} where id = $1`, [id]),

    /** May another node of the same owner take it over while its node is away? */
    isMovable: async (agent: string): Promise<boolean> => {
      const row = await first<{ movable: boolean }>('select movable from agents where id = $1', [agent]);
      return row?.movable ?? false;
    },

    /** Notes the move, and moves nothing yet; undefined: the agent is not on that node (any more), or is moving already. */
    begin: (move: NewMove, nowMs: number): Promise<MoveRow | undefined> =>
      store.transaction(async (tx) => {
        const held = await tx.query(
          `select id from agents where id = $1 and org = $2 and node = $3 and not exists (
             select 1 from moves m where m.agent = $1 and m.to_node <> '' and m.state not in ${ENDED}) for update`,
          [move.agent, move.org, move.fromNode],
        );
        if (held.length === 0) return undefined;
        const [row] = await tx.query<MoveRow>(
          `insert into moves (agent, epoch, org, from_node, from_shard, to_node, to_shard, reason, state, started_at_ms,
             changed_at_ms)
           values ($1, nextval('route_epochs'), $2, $3, $4, $5, $6, $7, 'opening', $8, $8) returning ${COLUMNS}`,
          [
            move.agent,
            move.org,
            move.fromNode,
            move.fromShard,
            move.toNode,
            move.toShard,
            move.reason,
            nowMs,
          ],
        );
        return row;
      }),

    /** The agent lives on the new node from now on; all or nothing. */
    place: (move: MoveRow, perNode: number, nowMs: number): Promise<PlaceOutcome> =>
      place(store, move, perNode, nowMs),

    /** True when it was in one of these states and is in the new one now. */
    advance: async (
      { agent, epoch }: MoveRow,
      from: readonly MoveState[],
      to: MoveState,
      nowMs: number,
    ): Promise<boolean> => {
      const rows = await query(
        `update moves set state = $4, changed_at_ms = $5 where agent = $1 and epoch = $2 and state = any ($3)
         returning agent`,
        [agent, epoch, from, to, nowMs],
      );
      return rows.length === 1;
    },

    /** The agent was removed on its way: what there is of its mail goes back. */
    turnBack: async ({ agent, epoch }: MoveRow, nowMs: number): Promise<void> => {
      await query(
        `update moves set to_node = '', reason = 'agent_removed', state = 'routers', changed_at_ms = $3
         where agent = $1 and epoch = $2 and state not in ${ENDED}`,
        [agent, epoch, nowMs],
      );
    },

    /** The new node has been told. It counts the agent as gone by the next epoch, which no move may have therefore. */
    drop: async ({ agent, epoch }: MoveRow): Promise<void> => {
      await query(
        `with dropped as (delete from moves where agent = $1 and epoch = $2 and state = 'recalled' returning agent)
         select nextval('route_epochs') from dropped`,
        [agent, epoch],
      );
    },

    find: (agent: string, epoch: number) =>
      first<MoveRow>(`select ${COLUMNS} from moves where agent = $1 and epoch = $2`, [agent, epoch]),

    isUnderWay: async (agent: string): Promise<boolean> => {
      const sql = `select 1 from moves where agent = $1 and to_node <> '' and state not in ${ENDED}`;
      return (await query(sql, [agent])).length > 0;
    },

    /** Not ended, by agent and epoch, behind this one: moves that wait must not be all that is ever looked at. */
    open: (limit: number, behind: Place = FIRST) =>
      query<MoveRow>(
        `select ${COLUMNS} from moves where state not in ${ENDED} and (agent, epoch) > ($2, $3)
         order by agent, epoch limit $1`,
        [limit, behind.agent, behind.epoch],
      ),

    /** Ended since `sinceMs`, in the same order and behind this one. */
    ended: (sinceMs: number, limit: number, behind: Place = FIRST) =>
      query<MoveRow>(
        `select ${COLUMNS} from moves where state in ${ENDED} and changed_at_ms > $4 and (agent, epoch) > ($2, $3)
         order by agent, epoch limit $1`,
        [limit, behind.agent, behind.epoch, sinceMs],
      ),

    /** Forgets what ended before. */
    prune: async (beforeMs: number): Promise<void> => {
      await query(`delete from moves where state in ${ENDED} and changed_at_ms < $1`, [beforeMs]);
    },
  };
}

export type MoveRows = ReturnType<typeof moveRows>;

/** Thrown to undo what was written. */
class NotPlaced extends Error {
  readonly outcome: PlaceOutcome;
  constructor(outcome: PlaceOutcome) {
    super(outcome);
    this.outcome = outcome;
  }
}

const TRIES = 3;

/** Other writers lock nodes in another order: who was in the way is gone at the next try. */
async function place(store: Store, move: MoveRow, perNode: number, nowMs: number): Promise<PlaceOutcome> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await placeOnce(store, move, perNode, nowMs);
    } catch (error) {
      if (attempt === TRIES || (error as { reason?: unknown }).reason !== 'DATABASE_CONFLICT') throw error;
    }
  }
}

function placeOnce(store: Store, move: MoveRow, perNode: number, nowMs: number): Promise<PlaceOutcome> {
  const { agent, epoch, fromNode, toNode } = move;
  const attempt = store.transaction(async ({ query }): Promise<PlaceOutcome> => {
    // In the order that all who count agents keep.
    await query('select id from nodes where id in ($1, $2) order by id for update', [fromNode, toNode]);
    const mine = await query(
      `update moves set state = 'routers', changed_at_ms = $3 where agent = $1 and epoch = $2 and state = 'opening'
       returning agent`,
      [agent, epoch, nowMs],
    );
    if (mine.length === 0) throw new NotPlaced('gone');
    const moved = await query(
      `update agents set node = $3, epoch = nextval('route_epochs') where id = $1 and node = $2 returning id`,
      [agent, fromNode, toNode],
    );
    if (moved.length === 0) throw new NotPlaced('gone');
    const counted = await query(
      'update nodes set agents = agents + 1 where id = $1 and agents < $2 returning id',
      [toNode, perNode],
    );
    if (counted.length === 0) throw new NotPlaced('node_full');
    await query('update nodes set agents = agents - 1 where id = $1', [fromNode]);
    return 'placed';
  });
  return attempt.catch((error: unknown) => {
    if (error instanceof NotPlaced) return error.outcome;
    throw error;
  });
}
