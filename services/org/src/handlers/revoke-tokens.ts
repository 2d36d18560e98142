/** Takes back tokens that are in use: every service refuses them once it has seen the org's new state. */

import { TOKEN_LIFETIME_MAX_MS } from '@fleetwire/identity';
import type { Act } from './act.ts';

/**
 * Replicas' clocks may be this far apart: tokens stamped until so much later are refused too, and ExchangeKey stamps
 * later ones after it.
 */
const CLOCKS_APART_MS = 250;

/** `user`: all tokens of a member; `key`: those of one API key. The caller tells an event of its own besides. */
export async function revokeTokens(act: Act, kind: 'user' | 'key', subject: string): Promise<void> {
  const issuedUntilMs = act.nowMs + CLOCKS_APART_MS;
  await act.query(
    `insert into revocations (org, kind, subject, issued_until_ms, until_ms) values ($1, $2, $3, $4, $5)
     on conflict (org, kind, subject) do update
     set issued_until_ms = excluded.issued_until_ms, until_ms = excluded.until_ms`,
    [act.org.id, kind, subject, issuedUntilMs, act.nowMs + TOKEN_LIFETIME_MAX_MS],
  );
  await act.tell('tokens_revoked', subject, { kind, subject, issued_until_ms: String(issuedUntilMs) });
}
