/** Reads and writes join tokens; spending one is a single statement, so of two racing machines one wins. */

import type { Store } from '@fleetwire/store';
import { JoinToken, type JoinTokenRow } from './entities.ts';

export type NewJoinToken = Omit<JoinTokenRow, 'usedAtMs' | 'usedBy'>;

/** How long a token is remembered after its end, so that its late use is told apart from a wrong text. */
const REMEMBERED_MS = 30 * 24 * 3_600_000;

export function joinTokenRows(store: Store) {
  return {
    /** False when the org has `limit` unspent tokens already. Forgets those that ended long ago. */
    insert: (token: NewJoinToken, limit: number): Promise<boolean> =>
      store.transaction(async ({ em, query }) => {
        const nowMs = token.createdAtMs;
        await query('select id from orgs where id = $1 for update', [token.org]);
        await query('delete from join_tokens where org = $1 and expires_at_ms < $2', [
          token.org,
          nowMs - REMEMBERED_MS,
        ]);
        const rows = await query<{ count: number }>(
          'select count(*) from join_tokens where org = $1 and used_by is null and expires_at_ms > $2',
          [token.org, nowMs],
        );
        if (rows[0]!.count >= limit) return false;
        await em.insert(JoinToken, token);
        return true;
      }),

    /** The org when this call spent the token. */
    spend: async (hash: string, publicKey: string, nowMs: number): Promise<string | undefined> => {
      const rows = await store.query<{ org: string }>(
        `update join_tokens set used_at_ms = $3, used_by = $2
         where hash = $1 and used_by is null and expires_at_ms > $3 returning org`,
        [hash, publicKey, nowMs],
      );
      return rows[0]?.org;
    },

    byHash: (hash: string): Promise<JoinTokenRow | null> =>
      store.run((em) => em.findOne(JoinToken, { hash })),
  };
}

export type JoinTokenRows = ReturnType<typeof joinTokenRows>;
