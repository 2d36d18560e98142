/** Reads and writes join tokens; spending one is a single statement, so of two racing machines one wins. */

import type { Store, StoreTransaction } from '@fleetwire/store';
import type { JoinTokenRow } from './access-entities.ts';
import { countOf } from './orgs.ts';

type Query = StoreTransaction['query'];

/** How long a token is remembered after its end, so that its late use is told apart from a wrong text. */
const REMEMBERED_MS = 30 * 24 * 3_600_000;

export interface FoundJoinToken {
  readonly id: string;
  readonly org: string;
  readonly orgStatus: string;
  readonly createdBy: string;
  /** Is who made it still a member? */
  readonly byMember: boolean;
  readonly usedBy: string | null;
  readonly expiresAtMs: number;
  readonly revokedAtMs: number | null;
}

export function joinTokenRows(store: Store) {
  return {
    /** The org and who made the token, when this call spent it; the audit entry is written with it. */
    spend: async (
      hash: string,
      publicKey: string,
      nowMs: number,
      by: { readonly service: string; readonly action: string; readonly peer: string },
    ): Promise<{ readonly org: string; readonly user: string } | undefined> => {
      const rows = await store.query<{ org: string; user: string }>(
        `with spent as (
           update join_tokens set used_at_ms = $3, used_by = $2 from orgs
           where hash = $1 and used_by is null and revoked_at_ms is null and expires_at_ms > $3
           and orgs.id = join_tokens.org and orgs.status = 'active'
           returning join_tokens.org, join_tokens.id, join_tokens.created_by),
         told as (insert into audit (org, at_ms, actor_kind, actor, action, target, decision, reason, peer, details)
         select org, $3, 'service', $4, $5, id, 'allowed', '', $6, jsonb_build_object('public_key', $2::text) from spent)
         select org, created_by as "user" from spent`,
        [hash, publicKey, nowMs, by.service, by.action, by.peer],
      );
      return rows[0];
    },

    byHash: async (hash: string): Promise<FoundJoinToken | undefined> => {
      const rows = await store.query<FoundJoinToken>(
        `select t.id, t.org, o.status as "orgStatus", t.created_by as "createdBy", t.used_by as "usedBy",
           t.expires_at_ms as "expiresAtMs", t.revoked_at_ms as "revokedAtMs",
           exists (select from memberships m where m.org = t.org and m.user_id = t.created_by) as "byMember"
         from join_tokens t join orgs o on o.id = t.org where t.hash = $1`,
        [hash],
      );
      return rows[0];
    },
  };
}

export type JoinTokenRows = ReturnType<typeof joinTokenRows>;

export async function forgetOldJoinTokens(query: Query, org: string, nowMs: number): Promise<void> {
  await query('delete from join_tokens where org = $1 and expires_at_ms < $2', [org, nowMs - REMEMBERED_MS]);
}

/** Unspent ones end now: of one user, of one API key, or all. */
export async function endJoinTokens(
  query: Query,
  org: string,
  nowMs: number,
  of: { readonly user?: string; readonly key?: string } = {},
): Promise<void> {
  await query(
    `update join_tokens set expires_at_ms = $2 where org = $1 and used_by is null and expires_at_ms > $2
     and ($3::text is null or created_by = $3) and ($4::text is null or key_id = $4)`,
    [org, nowMs, of.user ?? null, of.key ?? null],
  );
}

/** Of one user, or of all. */
export function unspentJoinTokens(
  query: Query,
  org: string,
  nowMs: number,
  createdBy?: string,
): Promise<number> {
  return countOf(
    query,
    `join_tokens where org = $1 and used_by is null and expires_at_ms > $2 and ($3::text is null or created_by = $3)`,
    [org, nowMs, createdBy ?? null],
  );
}

const COLUMNS = `hash, id, org, created_by as "createdBy", key_id as "keyId", created_at_ms as "createdAtMs",
  expires_at_ms as "expiresAtMs", used_at_ms as "usedAtMs", used_by as "usedBy", revoked_at_ms as "revokedAtMs"`;

/** The condition of `joinTokenStatus`, in SQL; the moment is $6. */
const STATUS = `case when used_by is not null then 'used' when revoked_at_ms is not null then 'revoked'
  when expires_at_ms > $6 then 'open' else 'expired' end`;

interface TokenFilter {
  /** Empty: of all. */
  readonly user: string;
  /** Empty: any. */
  readonly status: string;
  readonly after: string;
  readonly limit: number;
  readonly nowMs: number;
}

/** By id, upwards. */
export function joinTokensOf(query: Query, org: string, filter: TokenFilter): Promise<JoinTokenRow[]> {
  return query<JoinTokenRow>(
    `select ${COLUMNS} from join_tokens
     where org = $1 and id > $2 and ($3 = '' or created_by = $3) and ($5 = '' or ${STATUS} = $5) order by id limit $4`,
    [org, filter.after, filter.user, filter.limit, filter.status, filter.nowMs],
  );
}

export async function joinTokenById(
  query: Query,
  org: string,
  id: string,
): Promise<JoinTokenRow | undefined> {
  const rows = await query<JoinTokenRow>(`select ${COLUMNS} from join_tokens where org = $1 and id = $2`, [
    org,
    id,
  ]);
  return rows[0];
}

/** False: it is spent, or has been revoked before. From the commit on no machine is let in with it, whatever its clock says. */
export async function endJoinToken(query: Query, hash: string, nowMs: number): Promise<boolean> {
  const rows = await query(
    `update join_tokens set revoked_at_ms = $2, expires_at_ms = least(expires_at_ms, $2)
     where hash = $1 and used_by is null and revoked_at_ms is null returning id`,
    [hash, nowMs],
  );
  return rows.length === 1;
}
