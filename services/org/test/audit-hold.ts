/** Holds a transaction of org at its audit entry, or at its commit, until the test lets it go: by a trigger and a lock. */

import type { Store } from '@fleetwire/store';
import { eventually } from '@fleetwire/testkit';

/** `work`: its statements are undone when the client is gone by then. `commit`: it is committed, and nobody hears of it. */
export type HoldAt = 'work' | 'commit';

export interface Hold {
  /** Resolves when a transaction waits here. */
  readonly reached: Promise<true>;
  release(): Promise<void>;
}

const LOCK = 7_431;

/** Once for a database. */
export async function prepareHolds(store: Store): Promise<void> {
  await store.query('create table holds (org text, action text, at text)');
  await store.query(
    `create function hold_here() returns trigger language plpgsql as $$ begin
       if exists (select from holds where org = new.org and action = new.action and at = tg_argv[0]) then
         perform pg_advisory_xact_lock_shared(${LOCK});
       end if;
       return new;
     end $$`,
  );
  await store.query(
    `create trigger hold_work before insert on audit for each row execute function hold_here('work')`,
  );
  await store.query(
    `create constraint trigger hold_commit after insert on audit deferrable initially deferred
     for each row execute function hold_here('commit')`,
  );
}

/** One at a time. */
export async function hold(store: Store, org: string, action: string, at: HoldAt): Promise<Hold> {
  const held = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const holding = store.transaction(async ({ query }) => {
    await query('select pg_advisory_xact_lock($1)', [LOCK]);
    held.resolve();
    await released.promise;
  });
  await held.promise;
  await store.query('insert into holds values ($1, $2, $3)', [org, action, at]);
  const waiting = () =>
    store.query(`select from pg_locks where locktype = 'advisory' and objid = $1 and not granted`, [LOCK]);
  return {
    reached: eventually(async () => (await waiting()).length > 0, { timeoutMs: 60_000 }),
    release: async () => {
      await store.query('delete from holds');
      released.resolve();
      await holding;
    },
  };
}
