/**
 * Writes agents. What waits for each other does so in one order, so that nothing waits in a circle: the org, its nodes by
 * id, its channels by id, then names in alphabetical order.
 */

import { isConflict, type Store, type StoreTransaction } from '@fleetwire/store';
import type { StoredProfile } from '../domain/profile.ts';
import type { AgentRow } from './entities.ts';
import { noteReturn, type ReturnReason } from './moves.ts';
import { lockOrg } from './orgs.ts';

type Query = StoreTransaction['query'];

export type NewAgent = Omit<AgentRow, 'epoch'>;
export type InsertOutcome =
  | 'inserted'
  | 'name_taken'
  | 'node_full'
  | 'org_full'
  | 'node_gone'
  | 'node_draining';

export interface AgentBounds {
  readonly perNode: number;
  /** Of the whole org; undefined: none. */
  readonly perOrg: number | undefined;
}

export interface Refreshed extends StoredProfile {
  readonly id: string;
  readonly adapter: string;
}

/** Rows as one parameter: arrays of arrays have no other way in. */
const RECORDS = `jsonb_to_recordset($1::jsonb) as u (id text, name text, folded text, adapter text, model text,
  capabilities text[], tools text[], repo text, visibility text, "policyGroup" text, location jsonb, movable boolean,
  suspended boolean, "registeredAtMs" bigint)`;

/** Of one of RECORDS, of the org $2, on the node $3. */
const INTO = `insert into agents (id, org, name, folded, node, adapter, registered_at_ms, epoch, model, capabilities, tools,
    repo, visibility, policy_group, location, movable, suspended)
  select u.id, $2, u.name, u.folded, $3, u.adapter, u."registeredAtMs", nextval('route_epochs'), u.model, u.capabilities,
    u.tools, u.repo, u.visibility, u."policyGroup", u.location, u.movable, u.suspended`;

/** What a node has room for, with its row held until the end of the transaction. */
export interface Room {
  readonly gone: boolean;
  readonly draining: boolean;
  readonly onNode: number;
  /** Infinite without a limit. */
  readonly inOrg: number;
}

/** From here to the commit one at a time of an org with a limit, and of a node. */
export async function roomFor(query: Query, org: string, node: string, bounds: AgentBounds): Promise<Room> {
  if (bounds.perOrg !== undefined) await lockOrg(query, org);
  const [row] = await query<{ agents: number; draining: boolean }>(
    'select agents, draining from nodes where id = $1 and org = $2 for no key update',
    [node, org],
  );
  if (row === undefined) return { gone: true, draining: false, onNode: 0, inOrg: 0 };
  const inOrg =
    bounds.perOrg === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(0, bounds.perOrg - (await agentsOfOrg(query, org)));
  const onNode = Math.max(0, bounds.perNode - row.agents);
  return { gone: false, draining: row.draining, onNode, inOrg };
}

/** Nodes are few and each knows the number of its agents. */
export async function agentsOfOrg(query: Query, org: string): Promise<number> {
  const sql = 'select coalesce(sum(agents), 0)::int as present from nodes where org = $1';
  const [row] = await query<{ present: number }>(sql, [org]);
  return row!.present;
}

/** Those whose names were free, with their epochs. After `roomFor`, which says how many it may be. */
export async function insertAgents(
  query: Query,
  org: string,
  node: string,
  agents: readonly Omit<NewAgent, 'org' | 'node'>[],
): Promise<Map<string, number>> {
  const rows = await query<{ id: string; epoch: number }>(
    `${INTO} from (select * from ${RECORDS} order by folded) u
     on conflict (org, folded) do nothing returning id, epoch`,
    [JSON.stringify(agents), org, node],
  );
  await query('update nodes set agents = agents + $2 where id = $1', [node, rows.length]);
  return new Map(rows.map(({ id, epoch }) => [id, epoch]));
}

export async function insertOne(store: Store, agent: NewAgent, bounds: AgentBounds): Promise<InsertOutcome> {
  if (bounds.perOrg === undefined) {
    const { room, made } = await insertAtOnce(store, agent, bounds.perNode);
    if (room) return made ? 'inserted' : 'name_taken';
  }
  return store.transaction(async ({ query }): Promise<InsertOutcome> => {
    const room = await roomFor(query, agent.org, agent.node, bounds);
    if (room.gone) return 'node_gone';
    if (room.draining) return 'node_draining';
    if (room.onNode < 1) return 'node_full';
    if (room.inOrg < 1) return 'org_full';
    const inserted = await insertAgents(query, agent.org, agent.node, [agent]);
    return inserted.size === 1 ? 'inserted' : 'name_taken';
  });
}

/** In one round trip; without room it does not say why. */
async function insertAtOnce(
  store: Store,
  agent: NewAgent,
  perNode: number,
): Promise<{ room: boolean; made: boolean }> {
  const [row] = await store.query<{ room: boolean; made: boolean }>(
    `with room as (select id from nodes where id = $3 and org = $2 and not draining and agents < $4
         for no key update),
       made as (${INTO} from room, ${RECORDS} on conflict (org, folded) do nothing returning node),
       counted as (update nodes set agents = agents + 1 where id in (select node from made))
     select exists (select from room) as room, exists (select from made) as made`,
    [JSON.stringify([agent]), agent.org, agent.node, perNode],
  );
  return row!;
}

export async function refresh(
  store: Store,
  node: string,
  rows: readonly Refreshed[],
): Promise<Map<string, number>> {
  const changed = await store.query<{ id: string; epoch: number }>(
    `update agents a set adapter = u.adapter, model = u.model, capabilities = u.capabilities, tools = u.tools,
       repo = u.repo, visibility = u.visibility, policy_group = u."policyGroup", location = u.location,
       movable = u.movable, epoch = nextval('route_epochs')
     from ${RECORDS} where a.id = u.id and a.node = $2 returning a.id, a.epoch`,
    [JSON.stringify(rows), node],
  );
  return new Map(changed.map(({ id, epoch }) => [id, epoch]));
}

/** `gone`: it is not (any more) on this node; `name_taken`: another agent has it. */
export async function rename(
  store: Store,
  org: string,
  id: string,
  node: string,
  name: { readonly name: string; readonly folded: string },
): Promise<'renamed' | 'gone' | 'name_taken'> {
  try {
    const rows = await store.query(
      `update agents set name = $4, folded = $5, epoch = nextval('route_epochs')
       where org = $1 and id = $2 and node = $3 returning id`,
      [org, id, node, name.name, name.folded],
    );
    return rows.length === 1 ? 'renamed' : 'gone';
  } catch (error) {
    if (isConflict(error, 'agents_org_name')) return 'name_taken';
    throw error;
  }
}

export interface Removal {
  readonly ids: readonly string[];
  /** Only those of this node; undefined: wherever they are. */
  readonly node?: string | undefined;
  /** Why their waiting mail goes back to its senders; undefined: their node sees to it. */
  readonly returning?: ReturnReason | undefined;
  /** A person has removed them, not their node: it is to give them up. */
  readonly dismissed?: boolean;
  /** Only of nodes that were not heard of after this moment. */
  readonly silentSinceMs?: number | undefined;
  readonly nowMs: number;
}

export interface RemovedAgent {
  readonly id: string;
  readonly org: string;
  readonly name: string;
  readonly node: string;
  readonly shard: number;
}

export async function removeAgents(query: Query, removal: Removal): Promise<RemovedAgent[]> {
  const { ids, node, returning, nowMs } = removal;
  const nodes = await query<{ id: string }>(
    `select id from nodes where id in (select node from agents where id = any ($1))
         and ($2::text is null or id = $2) and ($3::bigint is null or greatest(last_seen_at_ms, joined_at_ms) <= $3)
       order by id for no key update`,
    [ids, node ?? null, removal.silentSinceMs ?? null],
  );
  if (nodes.length === 0) return [];
  await query(
    `select id from channels where id in (select channel from channel_members where agent = any ($1))
       order by id for no key update`,
    [ids],
  );
  const gone = await query<RemovedAgent>(
    `delete from agents a using nodes n where a.id = any ($1) and a.node = any ($2) and n.id = a.node
       returning a.id, a.org, a.name, a.node, n.shard`,
    [ids, nodes.map(({ id }) => id)],
  );
  if (removal.dismissed === true)
    await query(
      'insert into dismissed select u.id, $2 from unnest($1::text[]) as u (id) on conflict do nothing',
      [gone.map(({ id }) => id), nowMs],
    );
  await query(
    `update nodes n set agents = n.agents - g.gone
       from (select node, count(*)::int as gone from unnest($1::text[]) as u (node) group by node) g
       where n.id = g.node`,
    [gone.map((agent) => agent.node)],
  );
  if (returning !== undefined) await noteReturn(query, gone, returning, nowMs);
  return gone;
}
