/** ListUnrevokedKeys: what of API keys is still good, for a service that gave something on their word. */

import type { ListUnrevokedKeysRequest, ListUnrevokedKeysResponse } from '@fleetwire/gen/org';
import { FleetwireError } from '@fleetwire/kernel';
import { scopesInForce } from '../domain/roles.ts';
import { admitted, type Call } from './act.ts';
import type { OrgParts } from './parts.ts';

/** Of one call. */
const KEYS_MAX = 500;

/** Throws INVALID_KEYS. */
export async function listUnrevokedKeys(
  parts: OrgParts,
  { org, keys: asked }: ListUnrevokedKeysRequest,
  call: Call,
): Promise<ListUnrevokedKeysResponse> {
  await admitted(parts, 'listUnrevokedKeys', call);
  if (asked.length > KEYS_MAX)
    throw new FleetwireError('invalid_argument', 'INVALID_KEYS', `${asked.length} keys are too many`, {
      help: `Ask about at most ${KEYS_MAX} at a time.`,
    });
  const rows = await parts.keys.unrevoked(org, asked);
  const keys = rows.map(({ id, user, scopes, role }) => ({ id, user, scopes: scopesInForce(scopes, role) }));
  return { keys };
}
