/** Forgets what is past its time: audit entries, idempotency keys, revocations of tokens that have ended. */

import { type Clock, nowMs } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';

const DAY_MS = 24 * 3_600_000;
/** Rows of one statement, so that none takes long. */
const BATCH = 5000;

/** Any replica, at any time; gives how many audit entries went. */
export async function sweep(store: Store, clock: Clock, auditRetentionDays: number): Promise<number> {
  const now = nowMs(clock);
  await store.query('delete from idempotency where created_at_ms < $1', [now - DAY_MS]);
  await store.query('delete from revocations where until_ms < $1', [now]);
  return sweepAudit(store, now - auditRetentionDays * DAY_MS);
}

async function sweepAudit(store: Store, beforeMs: number): Promise<number> {
  for (let gone = 0; ; ) {
    const rows = await store.transaction(async ({ query }) => {
      // The table's trigger lets nobody delete who does not say this.
      await query(`set local fleetwire.audit_retention = 'on'`);
      return query(
        'delete from audit where id in (select id from audit where at_ms < $1 order by at_ms limit $2) returning id',
        [beforeMs, BATCH],
      );
    });
    gone += rows.length;
    if (rows.length < BATCH) return gone;
  }
}
