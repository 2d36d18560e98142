/** Reads and writes API keys. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Store, StoreTransaction } from '@fleetwire/store';
import type { ApiKeyRow } from './access-entities.ts';
import { countOf } from './orgs.ts';

type Query = StoreTransaction['query'];

const COLUMNS = `k.id, k.org, k.user_id as "userId", k.name, k.prefix, k.hash, k.scopes, k.created_at_ms as "createdAtMs",
  k.expires_at_ms as "expiresAtMs", k.revoked_at_ms as "revokedAtMs", k.last_used_at_ms as "lastUsedAtMs"`;

/** A key with what decides on its tokens. */
export type KeyInUse = ApiKeyRow & {
  readonly orgStatus: string;
  /** Null: its user is no member any more. */
  readonly role: string | null;
  /** Tokens issued until then are refused; null: none is. */
  readonly revokedUntilMs: number | null;
};

export function apiKeyRows(store: Store) {
  return {
    /** In one statement, so that what it says was true at one moment. */
    inUse: async (hash: string): Promise<KeyInUse | undefined> => {
      const rows = await store.query<KeyInUse>(
        `select ${COLUMNS}, o.status as "orgStatus", m.role,
           (select max(r.issued_until_ms) from revocations r where r.org = k.org
            and (r.kind = 'org'
            or r.kind = 'user' and r.subject = k.user_id or r.kind = 'key' and r.subject = k.id)) as "revokedUntilMs"
         from api_keys k join orgs o on o.id = k.org
         left join memberships m on m.org = k.org and m.user_id = k.user_id where k.hash = $1`,
        [hash],
      );
      return rows[0];
    },

    /** Of these, those that nobody has revoked and whose user is a member; of an org that is not closed. Also expired ones. */
    unrevoked: (
      org: string,
      ids: readonly string[],
    ): Promise<{ id: string; user: string; scopes: string[]; role: string }[]> =>
      store.query(
        `select k.id, k.user_id as "user", k.scopes, m.role from api_keys k
         join orgs o on o.id = k.org and o.status = 'active'
         join memberships m on m.org = k.org and m.user_id = k.user_id
         where k.org = $1 and k.id = any ($2) and k.revoked_at_ms is null order by k.id`,
        [org, ids],
      ),

    /** Written only when the last record is older than `intervalMs`. */
    touch: async (id: string, nowMs: number, intervalMs: number): Promise<void> => {
      await store.query(
        `update api_keys set last_used_at_ms = $2 where id = $1 and coalesce(last_used_at_ms, 0) < $3`,
        [id, nowMs, nowMs - intervalMs],
      );
    },
  };
}

export type ApiKeyRows = ReturnType<typeof apiKeyRows>;

export async function keyById(query: Query, org: string, id: string): Promise<ApiKeyRow | undefined> {
  const rows = await query<ApiKeyRow>(`select ${COLUMNS} from api_keys k where k.org = $1 and k.id = $2`, [
    org,
    id,
  ]);
  return rows[0];
}

export function keysOf(
  query: Query,
  org: string,
  filter: { readonly user: string; readonly after: string; readonly limit: number },
): Promise<ApiKeyRow[]> {
  return query<ApiKeyRow>(
    `select ${COLUMNS} from api_keys k
     where k.org = $1 and k.id > $2 and ($3 = '' or k.user_id = $3) order by k.id limit $4`,
    [org, filter.after, filter.user, filter.limit],
  );
}

const USABLE = 'revoked_at_ms is null and (expires_at_ms is null or expires_at_ms > $2)';

/** Of one user, or of all. */
export function usableKeys(query: Query, org: string, nowMs: number, user?: string): Promise<number> {
  return countOf(query, `api_keys where org = $1 and ${USABLE} and ($3::text is null or user_id = $3)`, [
    org,
    nowMs,
    user ?? null,
  ]);
}

/** Throws LAST_ADMIN_KEY when nobody could administrate the org without this key. A member's key never could. */
export async function refuseLastAdminKey(
  query: Query,
  org: string,
  key: ApiKeyRow,
  nowMs: number,
): Promise<void> {
  if (!key.scopes.includes('admin')) return;
  const able = await query<{ id: string }>(
    `select k.id from api_keys k join memberships m on m.org = k.org and m.user_id = k.user_id and m.role <> 'member'
     where k.org = $1 and 'admin' = any (k.scopes) and ${USABLE} order by k.id = $3 limit 2`,
    [org, nowMs, key.id],
  );
  const others = able.filter(({ id }) => id !== key.id);
  if (able.length === others.length) return;
  if (others.length > 0) return;
  throw new FleetwireError(
    'failed_precondition',
    'LAST_ADMIN_KEY',
    'this is the last key with the scope admin',
    {
      help: 'Make another admin key first, then revoke this one.',
    },
  );
}
