/** What agents say of themselves, joined with what the node sees. */

import { AgentProfile, type Location } from '@fleetwire/gen/registry';

export function sameProfile(a: AgentProfile | undefined, b: AgentProfile | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return JSON.stringify(AgentProfile.toJSON(a)) === JSON.stringify(AgentProfile.toJSON(b));
}

/** What the registry is told: where it runs is what the agent says of that itself, else what the node sees. */
export function toldProfile(
  profile: AgentProfile | undefined,
  seen: Location | undefined,
): AgentProfile | undefined {
  const own = profile?.location;
  if (seen === undefined || (own !== undefined && own.kind !== '')) return profile;
  return { ...(profile ?? AgentProfile.fromPartial({})), location: seen };
}
