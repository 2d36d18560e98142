/** Reads and writes join tokens; spending one is a single statement, so of two racing machines one wins. */

import type { Store, StoreTransaction } from '@fleetwire/store';
import { countOf } from './orgs.ts';

type Query = StoreTransaction['query'];

/** How long a token is remembered after its end, so that its late use is told apart from a wrong text. */
const REMEMBERED_MS = 30 * 24 * 3_600_000;

export interface FoundJoinToken {
  readonly id: string;
  readonly org: string;
  readonly orgStatus: string;
  readonly usedBy: string | null;
  readonly expiresAtMs: number;
}

export function joinTokenRows(store: Store) {
  return {
    /** The org when this call spent the token; the audit entry is written with it. */
    spend: async (
      hash: string,
      publicKey: string,
      nowMs: number,
      by: { readonly service: string; readonly action: string; readonly peer: string },
    ): Promise<string | undefined> => {
      const rows = await store.query<{ org: string }>(
        `with spent as (
           update join_tokens set used_at_ms = $3, used_by = $2 from orgs
           where hash = $1 and used_by is null and expires_at_ms > $3
           and orgs.id = join_tokens.org and orgs.status = 'active' returning join_tokens.org, join_tokens.id)
         insert into audit (org, at_ms, actor_kind, actor, action, target, decision, reason, peer, details)
         select org, $3, 'service', $4, $5, id, 'allowed', '', $6, jsonb_build_object('public_key', $2::text) from spent
         returning org`,
        [hash, publicKey, nowMs, by.service, by.action, by.peer],
      );
      return rows[0]?.org;
    },

    byHash: async (hash: string): Promise<FoundJoinToken | undefined> => {
      const rows = await store.query<FoundJoinToken>(
        `select t.id, t.org, o.status as "orgStatus", t.used_by as "usedBy", t.expires_at_ms as "expiresAtMs"
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
