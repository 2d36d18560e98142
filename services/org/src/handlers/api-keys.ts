/** CreateApiKey, ListApiKeys, RevokeApiKey. */

import type {
  ApiKey,
  CreateApiKeyRequest,
  CreateApiKeyResponse,
  ListApiKeysRequest,
  ListApiKeysResponse,
  RevokeApiKeyRequest,
  RevokeApiKeyResponse,
} from '@fleetwire/gen/org';
import { hashSecret, newApiKey } from '@fleetwire/identity';
import { FleetwireError, newId } from '@fleetwire/kernel';
import { cutPage, readPage } from '@fleetwire/rpc';
import { checkExpiry, checkKeyName, keyPrefix } from '../domain/api-keys.ts';
import { roleTooLow } from '../domain/authorize.ts';
import { checkScopes, scopeMissing } from '../domain/scopes.ts';
import { refuseShare } from '../domain/shares.ts';
import { type ApiKeyRow, ApiKey as ApiKeyTable } from '../store/access-entities.ts';
import { keyById, keysOf, refuseLastAdminKey, usableKeys } from '../store/api-keys.ts';
import { endJoinTokens } from '../store/join-tokens.ts';
import { type Act, type Call, change, look } from './act.ts';
import { repeatedIn } from './once.ts';
import { nowMs, type OrgParts } from './parts.ts';
import { revokeTokens } from './revoke-tokens.ts';

/**
 * A key carries no more than the token that asks for it, and ends no later than the key behind that: otherwise any key
 * could make an admin's, and one that was given for a day another for ever.
 */
export function createApiKey(
  parts: OrgParts,
  request: CreateApiKeyRequest,
  call: Call,
): Promise<CreateApiKeyResponse> {
  checkKeyName(request.name);
  const scopes = checkScopes(request.scopes);
  const expiresAtMs = checkExpiry(request.expiresAtMs, nowMs(parts.clock));
  return change(parts, 'createApiKey', call, request.org, async (act) => {
    const { org, actor, caller, query } = act;
    if (act.role === 'member' && scopes.includes('admin')) throw roleTooLow('createApiKey', 'member');
    const beyond = scopes.find((scope) => !caller.scopes.includes(scope));
    if (beyond !== undefined) throw scopeMissing(beyond, caller.scopes);
    const parent = caller.key === '' ? undefined : await keyById(query, org.id, caller.key);
    const secret = newApiKey();
    const id = newId('key');
    const earlier = await repeatedIn(act, request, async () => {
      const { max_api_keys: max } = parts.config;
      if ((await usableKeys(query, org.id, act.nowMs)) >= max) throw keyLimit(max);
      if (act.role === 'member')
        refuseShare(await usableKeys(query, org.id, act.nowMs, actor), max, 'API keys');
      await act.em.insert(ApiKeyTable, {
        id,
        org: org.id,
        userId: actor,
        name: request.name,
        prefix: keyPrefix(secret),
        hash: hashSecret(secret),
        scopes: [...scopes],
        createdAtMs: act.nowMs,
        expiresAtMs: notAfter(expiresAtMs, parent?.expiresAtMs ?? null),
      });
      return id;
    });
    act.about(earlier ?? id, { name: request.name, scopes: scopes.join(',') });
    const made = (await keyById(query, org.id, earlier ?? id))!;
    return { key: shownKey(made), secret: earlier === undefined ? secret : '' };
  });
}

export function listApiKeys(
  parts: OrgParts,
  request: ListApiKeysRequest,
  call: Call,
): Promise<ListApiKeysResponse> {
  const { size, after } = readPage(request);
  return look(parts, 'listApiKeys', call, request.org, async (act) => {
    if (request.user !== '') act.mustOwn(request.user);
    const user = act.onOthers ? request.user : act.actor;
    const rows = await keysOf(act.query, act.org.id, { user, after, limit: size + 1 });
    const { shown, nextPageToken } = cutPage(rows, size, (row) => row.id);
    return { keys: shown.map(shownKey), nextPageToken };
  });
}

/** Idempotent. */
export function revokeApiKey(
  parts: OrgParts,
  request: RevokeApiKeyRequest,
  call: Call,
): Promise<RevokeApiKeyResponse> {
  return change(parts, 'revokeApiKey', call, request.org, async (act) => {
    act.about(request.id);
    const key = await visibleKey(act, request.id);
    if (key.revokedAtMs !== null) return {};
    await refuseLastAdminKey(act.query, act.org.id, key, act.nowMs);
    await act.query('update api_keys set revoked_at_ms = $2 where id = $1', [key.id, act.nowMs]);
    await endJoinTokens(act.query, act.org.id, act.nowMs, { key: key.id });
    await revokeTokens(act, { kind: 'key', user: key.userId, key: key.id });
    return {};
  });
}

async function visibleKey(act: Act, id: string): Promise<ApiKeyRow> {
  const key = await keyById(act.query, act.org.id, id);
  if (key === undefined)
    throw new FleetwireError('not_found', 'API_KEY_UNKNOWN', 'there is no such API key in your org', {
      help: 'List the keys; the id begins with k_.',
    });
  act.mustOwn(key.userId);
  return key;
}

/** The earlier end; null: none. */
const notAfter = (wanted: number | null, bound: number | null): number | null =>
  bound === null ? wanted : Math.min(wanted ?? bound, bound);

function keyLimit(max: number): FleetwireError {
  return new FleetwireError('resource_exhausted', 'API_KEY_LIMIT', `the org has ${max} API keys`, {
    help: 'Revoke keys that nobody uses.',
  });
}

function shownKey(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    createdAtMs: row.createdAtMs,
    expiresAtMs: row.expiresAtMs ?? 0,
    revokedAtMs: row.revokedAtMs ?? 0,
    lastUsedAtMs: row.lastUsedAtMs ?? 0,
    user: row.userId,
  };
}
