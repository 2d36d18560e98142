/** The first API key of an owner or member, with which they make others. */

import { hashSecret } from '@fleetwire/identity';
import { newId } from '@fleetwire/kernel';
import { FIRST_KEY, keyPrefix } from '../domain/api-keys.ts';
import { FIRST_KEY_SCOPES } from '../domain/roles.ts';

/** The row; `secret` itself is shown once and not kept. */
export function firstKey(org: string, userId: string, secret: string, atMs: number) {
  return {
    id: newId('key'),
    org,
    userId,
    name: FIRST_KEY,
    prefix: keyPrefix(secret),
    hash: hashSecret(secret),
    scopes: [...FIRST_KEY_SCOPES],
    createdAtMs: atMs,
  };
}
