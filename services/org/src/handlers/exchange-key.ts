/** ExchangeKey: an API key for a short-lived token. */

import type { ExchangeKeyRequest, ExchangeKeyResponse } from '@fleetwire/gen/org';
import { hashSecret } from '@fleetwire/identity';
import { checkKeyLife, checkKeyText, invalidKey } from '../domain/api-keys.ts';
import { effectiveScopes } from '../domain/scopes.ts';
import { nowMs, type OrgParts } from './parts.ts';

export async function exchangeKey(
  parts: OrgParts,
  request: ExchangeKeyRequest,
): Promise<ExchangeKeyResponse> {
  checkKeyText(request.apiKey);
  const key = await parts.keys.byHash(hashSecret(request.apiKey));
  if (key === null) throw invalidKey();
  const now = nowMs(parts.clock);
  checkKeyLife(key, now);
  await parts.keys.touch(key.id, now, parts.config.last_used_interval_s * 1000);
  const scopes = effectiveScopes(key.scopes);
  const { token, expiresAtMs } = await parts.tokens.sign({
    sub: key.userId,
    org: key.org,
    scopes,
    lifetimeMs: lifetimeMs(parts.config.token_ttl_s * 1000, key.expiresAtMs, now),
  });
  return { token, expiresAtMs, org: key.org, scopes };
}

/** A token does not outlive its key; no shorter than a second, since tokens count in whole ones. */
export function lifetimeMs(ttlMs: number, keyExpiresAtMs: number | null, now: number): number {
  return keyExpiresAtMs === null ? ttlMs : Math.max(1000, Math.min(ttlMs, keyExpiresAtMs - now));
}
