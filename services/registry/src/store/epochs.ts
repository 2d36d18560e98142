/** The sequence of epochs, when PostgreSQL was restored from a backup and has fallen behind the routing table. */

import type { Store } from '@fleetwire/store';

export interface WithEpoch {
  readonly id: string;
  readonly epoch: number;
}

/** What others may take between our look at the sequence and our writing it. */
const AHEAD = 10_000;

const TABLES = {
  agent: { table: 'agents', inOrder: 'folded' },
  node: { table: 'nodes', inOrder: 'id' },
  channel: { table: 'channels', inOrder: 'id' },
} as const;

export function epochRows(store: Store) {
  return {
    /** Epochs that are given from now on are later than `epoch`. */
    raise: (epoch: number): Promise<void> =>
      store.transaction(async ({ query }) => {
        await query(`select pg_advisory_xact_lock(hashtext('route_epochs'))`);
        await query(
          `select setval('route_epochs', $1::bigint + ${AHEAD}) from route_epochs where last_value < $1::bigint`,
          [epoch],
        );
      }),

    /** A new epoch for those rows that still have this one; gives the new epochs. */
    renew: async (kind: keyof typeof TABLES, rows: readonly WithEpoch[]): Promise<Map<string, number>> => {
      const { table, inOrder } = TABLES[kind];
      const renewed = await store.query<WithEpoch>(
        `with held as (select t.id from ${table} t join unnest($1::text[], $2::bigint[]) as u (id, epoch)
           on t.id = u.id and t.epoch = u.epoch order by t.${inOrder} for no key update of t)
         update ${table} t set epoch = nextval('route_epochs') from held where t.id = held.id
         returning t.id, t.epoch`,
        [rows.map(({ id }) => id), rows.map(({ epoch }) => epoch)],
      );
      return new Map(renewed.map(({ id, epoch }) => [id, epoch]));
    },
  };
}

export type EpochRows = ReturnType<typeof epochRows>;
