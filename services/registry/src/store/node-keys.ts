/** Reads and writes the keys of nodes that are to be refused, and what goes together with a key: a node's removal above all. */

import { type Revocations, revokedForGood } from '@fleetwire/identity';
import type { Store, StoreTransaction } from '@fleetwire/store';
import { type RemovedAgent, removeAgents } from './agent-writes.ts';
import type { RemovedKeyRow } from './entities.ts';
import { ROUTED, type RoutedNode } from './nodes.ts';

export interface RotatedKey {
  readonly node: string;
  readonly from: string;
  readonly to: string;
  readonly untilMs: number;
  /** By those that the node has used, those from now on; what it throws is thrown, and nothing is written. */
  readonly useNonce: (used: readonly string[]) => string[];
}

/** An org with the keys that its servers are to be told of. */
export interface Untold {
  readonly org: string;
  readonly keys: readonly Pick<RemovedKeyRow, 'publicKey' | 'node' | 'shard' | 'reason' | 'untilS'>[];
}

const KEY =
  'public_key as "publicKey", org, node, shard, reason, removed_at_ms as "removedAtMs", until_s as "untilS", told';
/** Keys, org, whose (a node, or what else had them), shard, reason, now, until when (Unix seconds). */
export const NOTE = `insert into removed_keys (public_key, org, node, shard, reason, removed_at_ms, until_s, told)
  select key, $2, $3, $4, $5, $6, $7, false from unnest($1::text[]) as u (key)
  on conflict (public_key) do update set reason = excluded.reason, removed_at_ms = excluded.removed_at_ms,
    until_s = greatest(removed_keys.until_s, excluded.until_s), told = false`;

export function nodeKeys(store: Store) {
  return {
    /** The keys of a node that are not taken any more; also of one that is gone. */
    ofNode: (node: string): Promise<RemovedKeyRow[]> =>
      store.query<RemovedKeyRow>(`select ${KEY} from removed_keys where node = $1`, [node]),

    /** Null: the key was not removed. */
    removed: async (publicKey: string): Promise<RemovedKeyRow | null> => {
      const [row] = await store.query<RemovedKeyRow>(
        `select ${KEY} from removed_keys where public_key = $1 and reason <> 'shut_out'`,
        [publicKey],
      );
      return row ?? null;
    },

    /** All of an org that the servers are to refuse, the newest `limit`. */
    revocations: async (org: string, limit: number): Promise<Revocations> => {
      const rows = await store.query<{ key: string; untilS: number }>(
        `select public_key as key, until_s as "untilS" from removed_keys where org = $1
         order by removed_at_ms desc limit $2`,
        [org, limit],
      );
      return Object.fromEntries(rows.map(({ key, untilS }) => [key, untilS]));
    },

    orgs: async (after: string, limit: number): Promise<string[]> => {
      const rows = await store.query<{ org: string }>(
        'select distinct org from removed_keys where org > $1 order by org limit $2',
        [after, limit],
      );
      return rows.map(({ org }) => org);
    },

    /** Those of all orgs, or of one, that the servers were not told of yet; at most `limit` keys. */
    untold: async (limit: number, org?: string): Promise<Untold[]> => {
      const rows = await store.query<RemovedKeyRow>(
        `select ${KEY} from removed_keys where not told and ($2::text is null or org = $2) order by org limit $1`,
        [limit, org ?? null],
      );
      return [...Map.groupBy(rows, (row) => row.org)].map(([of, keys]) => ({ org: of, keys }));
    },

    /** Those that were noted before `untilMs`. */
    told: async (keys: Untold['keys'], untilMs: number): Promise<void> => {
      await store.query(
        `update removed_keys r set told = true from unnest($1::text[], $2::bigint[]) as u (key, until_s)
         where r.public_key = u.key and r.until_s = u.until_s and r.removed_at_ms <= $3`,
        [keys.map(({ publicKey }) => publicKey), keys.map(({ untilS }) => untilS), untilMs],
      );
    },

    /** The node, its agents, its keys: all or nothing. Gives the agents; undefined: there is no such node (any more). */
    removeNode: (org: string, id: string, nowMs: number): Promise<RemovedAgent[] | undefined> =>
      store.transaction(({ query }) => removeNode(query, org, id, nowMs)),

    /**
     * Another key for the node, which has `from` now. The one before is taken until `untilMs`, an older one no longer. False:
     * it has another key now, or the new one was used before.
     */
    rotate: (change: RotatedKey, nowMs: number): Promise<boolean> =>
      store.transaction(({ query }) => rotate(query, change, nowMs)),

    /** Old keys that are not taken any more, of at most `limit` nodes. */
    retire: (nowMs: number, limit: number): Promise<void> =>
      store.transaction(({ query }) => retire(query, nowMs, limit)),

    /** The nodes of an org that belong to `user`, from now on shut out. Gives those that were not yet. */
    shutOut: (org: string, user: string, nowMs: number, untilS: number): Promise<RoutedNode[]> =>
      store.transaction(async ({ query }) => {
        const nodes = await query<RoutedNode & { keys: string[] }>(
          `update nodes set shut_out = 'OWNER_DEPARTED', status = 'offline', revision = revision + 1,
             epoch = nextval('route_epochs'), issued_after_s = greatest(issued_after_s, $3)
           where org = $1 and owner = $2 and shut_out = ''
           returning ${ROUTED}, array_remove(array[public_key, old_public_key], null) as keys`,
          [org, user, untilS],
        );
        for (const { id, shard, keys } of nodes)
          await query(NOTE, [keys, org, id, shard, 'shut_out', nowMs, untilS]);
        return nodes;
      }),
  };
}

export type NodeKeys = ReturnType<typeof nodeKeys>;
type Query = StoreTransaction['query'];

async function removeNode(
  query: Query,
  org: string,
  id: string,
  nowMs: number,
): Promise<RemovedAgent[] | undefined> {
  const [node] = await query<RoutedNode & { keys: string[] }>(
    `select ${ROUTED}, array_remove(array[public_key, old_public_key], null) as keys from nodes
     where org = $1 and id = $2 for update`,
    [org, id],
  );
  if (node === undefined) return undefined;
  const { shard, keys } = node;
  const its = await query<{ id: string }>('select id from agents where node = $1', [id]);
  const ids = its.map((agent) => agent.id);
  const agents = await removeAgents(query, { ids, node: id, returning: 'node_removed', nowMs });
  await query(NOTE, [keys, org, id, shard, 'removed', nowMs, forGood(nowMs)]);
  await query('delete from nodes where id = $1', [id]);
  return agents;
}

async function rotate(query: Query, o: RotatedKey, nowMs: number): Promise<boolean> {
  const used = await query(
    `select from nodes where public_key = $1 or old_public_key = $1
     union all select from removed_keys where public_key = $1`,
    [o.to],
  );
  if (used.length > 0) return false;
  const [was] = await query<{ org: string; shard: number; oldest: string | null; used: string[] }>(
    `select org, shard, old_public_key as oldest, used_nonces as used from nodes where id = $1 and public_key = $2 for update`,
    [o.node, o.from],
  );
  if (was === undefined) return false;
  if (was.oldest !== null)
    await query(NOTE, [[was.oldest], was.org, o.node, was.shard, 'retired', nowMs, forGood(nowMs)]);
  await query(
    `update nodes set public_key = $2, old_public_key = $3, old_key_until_ms = $4, rotate = false,
       used_nonces = $5, revision = revision + 1 where id = $1`,
    [o.node, o.to, o.from, o.untilMs, o.useNonce(was.used)],
  );
  return true;
}

async function retire(query: Query, nowMs: number, limit: number): Promise<void> {
  const nodes = await query<{ id: string; org: string; shard: number; old: string }>(
    `select id, org, shard, old_public_key as old from nodes
     where old_public_key is not null and old_key_until_ms <= $1 limit $2 for update skip locked`,
    [nowMs, limit],
  );
  for (const { id, org, shard, old } of nodes)
    await query(NOTE, [[old], org, id, shard, 'retired', nowMs, forGood(nowMs)]);
  await query('update nodes set old_public_key = null, revision = revision + 1 where id = any ($1)', [
    nodes.map(({ id }) => id),
  ]);
}

const forGood = (nowMs: number): number => revokedForGood(Math.floor(nowMs / 1000));
