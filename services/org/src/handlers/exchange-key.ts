/** ExchangeKey: an API key for a short-lived token. GetSigningKeys: what tokens are verified with. */

import type { ExchangeKeyRequest, ExchangeKeyResponse, GetSigningKeysResponse } from '@fleetwire/gen/org';
import { hashSecret } from '@fleetwire/identity';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import { checkKeyLife, checkKeyText, invalidKey } from '../domain/api-keys.ts';
import { PERMISSIONS } from '../domain/permissions.ts';
import { scopesInForce } from '../domain/roles.ts';
import type { KeyInUse } from '../store/api-keys.ts';
import { nowMs, type OrgParts } from './parts.ts';

/** `peer`: who asks, for the audit: a key that is not good any more may be in wrong hands. */
export async function exchangeKey(
  parts: OrgParts,
  request: ExchangeKeyRequest,
  peer: string,
): Promise<ExchangeKeyResponse> {
  checkKeyText(request.apiKey);
  // Before the key is read: a token must not look younger than what is known of its key.
  const now = nowMs(parts.clock);
  const key = await parts.keys.inUse(hashSecret(request.apiKey));
  if (key === undefined) throw invalidKey();
  const role = await roleInForce(parts, key, now, peer);
  await parts.keys.touch(key.id, now, parts.config.last_used_interval_s * 1000);
  const scopes = scopesInForce(key.scopes, role);
  const { token, expiresAtMs } = await parts.tokens.sign({
    sub: key.userId,
    org: key.org,
    key: key.id,
    scopes,
    issuedAtMs: Math.max(now, (key.revokedUntilMs ?? 0) + 1),
    lifetimeMs: lifetimeMs(parts.config.token_ttl_s * 1000, key.expiresAtMs, now),
  });
  return { token, expiresAtMs, org: key.org, scopes, user: key.userId, role };
}

/** A key outlives neither the membership of its user nor its org. */
async function roleInForce(parts: OrgParts, key: KeyInUse, now: number, peer: string): Promise<string> {
  try {
    checkKeyLife(key, now);
    return openRole(key);
  } catch (error) {
    await parts.denials.write({
      org: key.org,
      atMs: now,
      actorKind: 'user',
      actor: key.userId,
      action: PERMISSIONS.exchangeKey.action,
      target: key.id,
      decision: 'denied',
      reason: asFleetwireError(error).reason,
      peer,
    });
    throw error;
  }
}

function openRole({ role, orgStatus }: KeyInUse): string {
  if (orgStatus !== 'active')
    throw new FleetwireError(
      'unauthenticated',
      'ORG_CLOSED',
      'the org of this key is deleted, or being deleted',
      {
        help: 'The operator of the fabric can restore it within 30 days.',
      },
    );
  if (role === null)
    throw new FleetwireError('unauthenticated', 'NOT_A_MEMBER', 'the user of this key has left the org', {
      help: 'Ask an admin of the org for an invite.',
    });
  return role;
}

/** A token does not outlive its key; no shorter than a second, since tokens count in whole ones. */
export function lifetimeMs(ttlMs: number, keyExpiresAtMs: number | null, now: number): number {
  return keyExpiresAtMs === null ? ttlMs : Math.max(1000, Math.min(ttlMs, keyExpiresAtMs - now));
}

export async function getSigningKeys(parts: OrgParts): Promise<GetSigningKeysResponse> {
  return { jwks: await parts.publishedKeys() };
}
