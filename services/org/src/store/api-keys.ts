/** Reads and writes API keys. */

import type { Store } from '@fleetwire/store';
import { ApiKey, type ApiKeyRow, Org } from './entities.ts';

export type NewApiKey = Omit<ApiKeyRow, 'revokedAtMs' | 'lastUsedAtMs'>;

export function apiKeyRows(store: Store) {
  return {
    byHash: (hash: string): Promise<ApiKeyRow | null> => store.run((em) => em.findOne(ApiKey, { hash })),

    /** Usable ones first, then the newest; at most `limit`. */
    list: (org: string, limit: number): Promise<ApiKeyRow[]> =>
      store.run((em) =>
        em.find(ApiKey, { org }, { orderBy: [{ revokedAtMs: 'desc nulls first' }, { id: 'asc' }], limit }),
      ),

    /** False when the org has `limit` usable keys already; atomic by a lock on the org. */
    insert: (key: NewApiKey, limit: number, nowMs: number): Promise<boolean> =>
      store.transaction(async ({ em, query }) => {
        await query('select id from orgs where id = $1 for update', [key.org]);
        const rows = await query<{ count: number }>(
          `select count(*) from api_keys
           where org = $1 and revoked_at_ms is null and (expires_at_ms is null or expires_at_ms > $2)`,
          [key.org, nowMs],
        );
        if (rows[0]!.count >= limit) return false;
        await em.insert(ApiKey, key);
        return true;
      }),

    /** Idempotent. `last_admin`: nothing was done, since nobody could make keys any more. */
    revoke: (org: string, id: string, nowMs: number): Promise<'revoked' | 'unknown' | 'last_admin'> =>
      store.transaction(async ({ em, query }) => {
        await query('select id from orgs where id = $1 for update', [org]);
        const key = await em.findOne(ApiKey, { org, id });
        if (key === null) return 'unknown';
        if (key.revokedAtMs !== null) return 'revoked';
        const others = await query(
          `select id from api_keys where org = $1 and id <> $2 and 'admin' = any (scopes) and revoked_at_ms is null
           and (expires_at_ms is null or expires_at_ms > $3) limit 1`,
          [org, id, nowMs],
        );
        if (key.scopes.includes('admin') && others.length === 0) return 'last_admin';
        await query('update api_keys set revoked_at_ms = $2 where id = $1', [id, nowMs]);
        return 'revoked';
      }),

    /** Written only when the last record is older than `intervalMs`. */
    touch: async (id: string, nowMs: number, intervalMs: number): Promise<void> => {
      await store.query(
        `update api_keys set last_used_at_ms = $2 where id = $1 and coalesce(last_used_at_ms, 0) < $3`,
        [id, nowMs, nowMs - intervalMs],
      );
    },

    org: (id: string) => store.run((em) => em.findOne(Org, { id })),
  };
}

export type ApiKeyRows = ReturnType<typeof apiKeyRows>;
