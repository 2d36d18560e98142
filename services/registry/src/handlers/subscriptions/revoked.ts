/** Subscriptions whose person or API key may not follow any more. */

import type { OrgAccess } from '@fleetwire/access';
import type { UnrevokedKey } from '@fleetwire/gen/org';
import { slices } from '@fleetwire/kernel';
import { type Follower, mayFollow, standingOf } from '../../domain/subscriptions.ts';
import type { RegistryParts } from '../parts.ts';
import { type CloseParts, close } from './close-subscription.ts';

export type RevokedParts = CloseParts & Pick<RegistryParts, 'org'>;

/** API keys that org is asked about at a time. */
const KEYS_AT_ONCE = 500;

/** Closes those of the org. Can be done again, and by several at once. Rejects when org, who is asked in doubt, is away. */
export async function closeRevoked(parts: RevokedParts, access: OrgAccess): Promise<void> {
  const rows = await parts.subscriptions.ofOrg(access.state.org);
  for (const row of await outOfStanding(parts, access, rows)) await close(parts, row, 'registry', row.apiKey);
}

/** Those of the followers that may not follow any more. */
export async function outOfStanding<F extends Follower>(
  { org }: Pick<RevokedParts, 'org'>,
  access: OrgAccess,
  followers: readonly F[],
): Promise<F[]> {
  const standing = new Map(followers.map((follower) => [follower, standingOf(access, follower)]));
  const unsaid = followers.filter((follower) => standing.get(follower) === 'unsaid');
  const keys = new Map<string, UnrevokedKey>();
  for (const ids of slices([...new Set(unsaid.map(({ apiKey }) => apiKey))], KEYS_AT_ONCE)) {
    const answer = await org.listUnrevokedKeys({ org: access.state.org, keys: [...ids] });
    for (const key of answer.keys) keys.set(key.id, key);
  }
  const isGood = ({ apiKey, owner, what }: F) => {
    const key = keys.get(apiKey);
    return key?.user === owner && mayFollow(key.scopes, what);
  };
  return followers.filter((follower) => {
    const said = standing.get(follower)!;
    return said === 'out' || (said === 'unsaid' && !isGood(follower));
  });
}
