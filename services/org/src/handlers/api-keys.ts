/** CreateApiKey, ListApiKeys, RevokeApiKey. */

import type {
  ApiKey,
  CreateApiKeyRequest,
  CreateApiKeyResponse,
  ListApiKeysResponse,
  RevokeApiKeyRequest,
  RevokeApiKeyResponse,
} from '@fleetwire/gen/org';
import { hashSecret, newApiKey } from '@fleetwire/identity';
import { FleetwireError, newId } from '@fleetwire/kernel';
import { checkExpiry, checkKeyName, keyPrefix } from '../domain/api-keys.ts';
import { checkScopes, requireScope } from '../domain/scopes.ts';
import type { ApiKeyRow } from '../store/entities.ts';
import { type Caller, nowMs, type OrgParts } from './parts.ts';

export async function createApiKey(
  parts: OrgParts,
  request: CreateApiKeyRequest,
  caller: Caller,
): Promise<CreateApiKeyResponse> {
  requireScope(caller, 'admin');
  checkKeyName(request.name);
  const scopes = checkScopes(request.scopes);
  const now = nowMs(parts.clock);
  const secret = newApiKey();
  const row = {
    id: newId('key'),
    org: caller.org,
    userId: caller.subject,
    name: request.name,
    prefix: keyPrefix(secret),
    hash: hashSecret(secret),
    scopes: [...scopes],
    createdAtMs: now,
    expiresAtMs: checkExpiry(request.expiresAtMs, now),
  };
  const { max_api_keys } = parts.config;
  if (!(await parts.keys.insert(row, max_api_keys, now))) {
    throw new FleetwireError('resource_exhausted', 'API_KEY_LIMIT', `the org has ${max_api_keys} API keys`, {
      help: 'Revoke keys that nobody uses.',
    });
  }
  return { key: shown({ ...row, revokedAtMs: null, lastUsedAtMs: null }), secret };
}

export async function listApiKeys(parts: OrgParts, caller: Caller): Promise<ListApiKeysResponse> {
  requireScope(caller, 'admin');
  const rows = await parts.keys.list(caller.org, parts.config.max_api_keys);
  return { keys: rows.map(shown) };
}

export async function revokeApiKey(
  parts: OrgParts,
  request: RevokeApiKeyRequest,
  caller: Caller,
): Promise<RevokeApiKeyResponse> {
  requireScope(caller, 'admin');
  const outcome = await parts.keys.revoke(caller.org, request.id, nowMs(parts.clock));
  if (outcome === 'unknown') {
    throw new FleetwireError('not_found', 'API_KEY_UNKNOWN', 'there is no such API key in your org', {
      help: 'List the keys; the id begins with k_.',
    });
  }
  if (outcome === 'last_admin') {
    throw new FleetwireError(
      'failed_precondition',
      'LAST_ADMIN_KEY',
      'this is the last key with the scope admin',
      {
        help: 'Make another admin key first, then revoke this one.',
      },
    );
  }
  return {};
}

function shown(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    createdAtMs: row.createdAtMs,
    expiresAtMs: row.expiresAtMs ?? 0,
    revokedAtMs: row.revokedAtMs ?? 0,
    lastUsedAtMs: row.lastUsedAtMs ?? 0,
  };
}
