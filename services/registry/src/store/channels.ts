/** Reads and writes channels and groups. A trigger gives a channel a new epoch whenever its members change. */

import type { Store } from '@fleetwire/store';
import type { ChannelRow } from './entities.ts';
import { lockOrg } from './orgs.ts';

/** With the number of its members. */
export interface CountedChannel extends Omit<ChannelRow, 'writtenEpoch'> {
  readonly members: number;
}

export interface ChannelWithMembers extends CountedChannel {
  /** Ids, sorted. */
  readonly agents: readonly string[];
}

export type NewChannel = Omit<ChannelRow, 'epoch' | 'writtenEpoch'>;

const FIELDS = `c.id, c.org, c.kind, c.name, c.folded, c.created_by as "createdBy", c.created_at_ms as "createdAtMs",
  c.epoch, c.deletion, (select count(*)::int from channel_members m where m.channel = c.id) as members`;

export function channelRows(store: Store) {
  const counted = (where: string, params: readonly unknown[]) =>
    store.query<CountedChannel>(`select ${FIELDS} from channels c ${where}`, params);
  const whole = (where: string, params: readonly unknown[]) =>
    store.query<ChannelWithMembers>(
      `select ${FIELDS}, array(select m.agent from channel_members m where m.channel = c.id order by m.agent) as agents
       from channels c ${where}`,
      params,
    );
  return {
    /**
     * `full`: the org has `limit` of them; `creator_full`: who makes it has made `perCreator` of them (undefined: any
     * number); `org_cleared`: it was cleared for a deletion that the caller knows nothing of.
     * One of this name that is there already stays as it is.
     */
    create: (
      channel: NewChannel,
      limit: number,
      perCreator?: number,
    ): Promise<'there' | 'full' | 'creator_full' | 'org_cleared'> =>
      store.transaction(async ({ query }) => {
        const { id, org, kind, name, folded, createdBy, createdAtMs, deletion } = channel;
        if ((await lockOrg(query, org)) > deletion) return 'org_cleared';
        const rows = await query<{ there: boolean; made: boolean; own: number }>(
          `with there as (select id from channels where org = $2 and kind = $3 and folded = $5),
             own as (select count(*)::int as present from channels where org = $2 and created_by = $6),
             made as (insert into channels (id, org, kind, name, folded, created_by, created_at_ms, epoch, deletion)
               select $1, $2, $3, $4, $5, $6, $7, nextval('route_epochs'), $9
               where not exists (select from there) and (select count(*) from channels where org = $2) < $8
                 and ($10::int is null or (select present from own) < $10::int)
               returning id)
           select exists (select from there) as there, exists (select from made) as made, present as own from own`,
          [id, org, kind, name, folded, createdBy, createdAtMs, limit, deletion, perCreator ?? null],
        );
        const { there, made, own } = rows[0]!;
        if (there || made) return 'there';
        return perCreator !== undefined && own >= perCreator ? 'creator_full' : 'full';
      }),

    byId: async (org: string, id: string) => (await counted('where c.org = $1 and c.id = $2', [org, id]))[0],
    byName: async (org: string, kind: string, folded: string) =>
      (await counted('where c.org = $1 and c.kind = $2 and c.folded = $3', [org, kind, folded]))[0],

    /** True when this call removed it. */
    remove: async (org: string, id: string): Promise<boolean> => {
      const gone = await store.query('delete from channels where org = $1 and id = $2 returning id', [
        org,
        id,
      ]);
      return gone.length === 1;
    },

    /** Those that were no members before; `full`: it would have more than `max`, and nothing was done. */
    join: (channel: string, agents: readonly string[], max: number): Promise<string[] | 'full' | 'gone'> =>
      store.transaction(async ({ query }) => {
        const held = await query('select id from channels where id = $1 for no key update', [channel]);
        if (held.length === 0) return 'gone';
        const [count] = await query<{ after: number }>(
          `select (select count(*) from channel_members where channel = $1)::int
             + (select count(*) from unnest($2::text[]) as u (id) where not exists
                 (select from channel_members where channel = $1 and agent = u.id))::int as after`,
          [channel, agents],
        );
        if (count!.after > max) return 'full';
        // One that is removed meanwhile is left out, and so does not make the rest fail.
        const rows = await query<{ agent: string }>(
          `insert into channel_members (channel, agent)
           select $1, id from agents where id = any ($2) order by id for key share
           on conflict do nothing returning agent`,
          [channel, agents],
        );
        return rows.map(({ agent }) => agent);
      }),

    /** Those that were members. */
    leave: (channel: string, agents: readonly string[]): Promise<string[]> =>
      store.transaction(async ({ query }) => {
        await query('select id from channels where id = $1 for no key update', [channel]);
        const rows = await query<{ agent: string }>(
          'delete from channel_members where channel = $1 and agent = any ($2) returning agent',
          [channel, agents],
        );
        return rows.map(({ agent }) => agent);
      }),

    /** In the order of name and kind, after the key `<folded> <kind>`; `kind` empty: both. */
    list: (org: string, kind: string, after: readonly [string, string], limit: number) =>
      counted(
        `where c.org = $1 and ($2 = '' or c.kind = $2) and (c.folded, c.kind) > ($3, $4)
         order by c.folded, c.kind limit $5`,
        [org, kind, after[0], after[1], limit],
      ),

    /** Ids of members in order, `limit` after `afterId`. */
    members: async (channel: string, afterId: string, limit: number): Promise<string[]> => {
      const rows = await store.query<{ agent: string }>(
        'select agent from channel_members where channel = $1 and agent > $2 order by agent limit $3',
        [channel, afterId, limit],
      );
      return rows.map(({ agent }) => agent);
    },

    withMembers: (ids: readonly string[]) => whole('where c.id = any ($1)', [ids]),

    /** All of all orgs in the order of their ids. */
    scan: (afterId: string, limit: number) =>
      whole('where c.id > $1 order by c.id limit $2', [afterId, limit]),

    presentIds: async (ids: readonly string[]): Promise<{ org: string; id: string }[]> =>
      store.query('select org, id from channels where id = any ($1)', [ids]),

    /** Those whose route is out of date. */
    unwritten: async (limit: number): Promise<string[]> => {
      const rows = await store.query<{ id: string }>(
        'select id from channels where epoch > written_epoch limit $1',
        [limit],
      );
      return rows.map(({ id }) => id);
    },

    /** The route of this epoch is there. False: the channel is gone. */
    written: async (id: string, epoch: number): Promise<boolean> => {
      const rows = await store.query(
        'update channels set written_epoch = greatest(written_epoch, $2) where id = $1 returning id',
        [id, epoch],
      );
      return rows.length === 1;
    },

    /** At most `limit` channels of the org that were made before the deletion; gives how many. */
    removeBefore: async (org: string, deletion: number, limit: number): Promise<number> => {
      const rows = await store.query(
        `delete from channels where id in
           (select id from channels where org = $1 and deletion < $2 limit $3) returning id`,
        [org, deletion, limit],
      );
      return rows.length;
    },
  };
}

export type ChannelRows = ReturnType<typeof channelRows>;
