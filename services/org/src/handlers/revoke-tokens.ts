/** Takes back tokens that are in use: every service refuses them once it has seen the org's new state. */

import { TOKEN_LIFETIME_MAX_MS } from '@fleetwire/identity';
import type { Act } from './act.ts';

/**
 * Replicas' clocks may be this far apart: tokens stamped until so much later are refused too, and ExchangeKey stamps
 * later ones after it.
 */
const CLOCKS_APART_MS = 250;

/** Keys of one user that are told one by one; with more, all of the user's tokens are refused, and exchanged anew. */
const KEYS_OF_A_USER = 20;
/** Entries of one org, all of which travel with its state; with more, all tokens of the org are refused instead. */
const ENTRIES_OF_AN_ORG = 500;

type Revoked =
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'key'; readonly user: string; readonly key: string }
  | { readonly kind: 'org' };

/** Who still may gets a new token with the same key. The caller tells an event of its own besides. */
export async function revokeTokens(act: Act, what: Revoked): Promise<void> {
  const bounded = await withinBounds(act, what);
  const { kind } = bounded;
  const subject = kind === 'org' ? '' : kind === 'key' ? bounded.key : bounded.user;
  const issuedUntilMs = act.nowMs + CLOCKS_APART_MS;
  await act.query(
    `insert into revocations (org, kind, subject, issued_until_ms, until_ms) values ($1, $2, $3, $4, $5)
     on conflict (org, kind, subject) do update
     set issued_until_ms = excluded.issued_until_ms, until_ms = excluded.until_ms`,
    [act.org.id, kind, subject, issuedUntilMs, act.nowMs + TOKEN_LIFETIME_MAX_MS],
  );
  await act.tell('tokens_revoked', subject === '' ? act.org.id : subject, {
    kind,
    subject,
    issued_until_ms: String(issuedUntilMs),
  });
}

/** The coarser revocation where the finer ones have become many; those it covers go. */
async function withinBounds(act: Act, what: Revoked): Promise<Revoked> {
  const { query, org, nowMs } = act;
  if (what.kind === 'org') {
    await query('delete from revocations where org = $1', [org.id]);
    return what;
  }
  const ofUser = `r.kind = 'key' and exists (select from api_keys k where k.id = r.subject and k.user_id = $2)`;
  const rows = await query<{ all: number; own: number }>(
    `select count(*) as all, count(*) filter (where ${ofUser}) as own from revocations r
     where r.org = $1 and r.until_ms > $3`,
    [org.id, what.user, nowMs],
  );
  const { all, own } = rows[0]!;
  if (all >= ENTRIES_OF_AN_ORG) return withinBounds(act, { kind: 'org' });
  if (what.kind === 'key' && own < KEYS_OF_A_USER) return what;
  await query(`delete from revocations r where r.org = $1 and ${ofUser}`, [org.id, what.user]);
  return { kind: 'user', user: what.user };
}
