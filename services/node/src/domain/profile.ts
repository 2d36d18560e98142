/** What agents say of themselves: checked, folded, and joined with what the node sees. */

import { LIMITS } from '@fleetwire/contract';
import { AgentProfile, type Location } from '@fleetwire/gen/registry';
import { type FieldViolation, FleetwireError, isName, lineViolation } from '@fleetwire/kernel';

const CAPABILITY = /^[a-z0-9][a-z0-9._-]*$/;
const VISIBILITIES: readonly string[] = ['', 'isolated', 'shared', 'group'];
const PLACES: readonly string[] = ['', 'process', 'container', 'cloud'];
const DETAILS_MAX = 16;
const DETAIL_KEY_CHARS = 64;
const DETAIL_CHARS = 256;

/** As it is kept: capabilities in lower case, nothing twice. Throws INVALID_PROFILE with all that does not fit. */
export function checkProfile(profile: AgentProfile): AgentProfile {
  const folded = profile.capabilities.map((name) => name.toLowerCase());
  const violations = [...faultsOf({ ...profile, capabilities: folded })];
  if (violations.length === 0) {
    const tools = profile.tools && { tools: [...new Set(profile.tools.tools)] };
    return { ...profile, capabilities: [...new Set(folded)].toSorted(), tools };
  }
  const { field, description } = violations[0]!;
  throw new FleetwireError('invalid_argument', 'INVALID_PROFILE', `${field} ${description}`, {
    help: 'Correct what the agent says of itself.',
    violations,
  });
}

function* faultsOf(profile: AgentProfile): Generator<FieldViolation> {
  const { model, repo, capabilities, tools, visibility, group } = profile;
  yield* optionalLine('profile.model', model, LIMITS.modelChars);
  yield* optionalLine('profile.repo', repo, LIMITS.repoChars);
  yield* tooMany('profile.capabilities', capabilities, LIMITS.capabilities);
  for (const [i, name] of capabilities.slice(0, LIMITS.capabilities).entries())
    if (name.length > LIMITS.capabilityChars || !CAPABILITY.test(name))
      yield {
        field: `profile.capabilities[${i}]`,
        description: `must be 1 to ${LIMITS.capabilityChars} of a-z, 0-9, dot, underscore and hyphen, a letter or digit first`,
      };
  const list = tools?.tools ?? [];
  yield* tooMany('profile.tools', list, LIMITS.tools);
  for (const [i, tool] of list.slice(0, LIMITS.tools).entries()) {
    const fault = lineViolation(`profile.tools[${i}]`, tool, LIMITS.toolChars);
    if (fault !== undefined) yield fault;
  }
  if (!VISIBILITIES.includes(visibility))
    yield { field: 'profile.visibility', description: 'must be isolated, shared or group' };
  if (visibility === 'group' ? !isName(group) : group !== '')
    yield {
      field: 'profile.group',
      description: 'must be the name of a group with visibility group, and empty otherwise',
    };
  if (profile.location !== undefined) yield* locationFaults(profile.location);
}

function* locationFaults({ kind, details }: Location): Generator<FieldViolation> {
  if (!PLACES.includes(kind))
    yield { field: 'profile.location.kind', description: 'must be process, container or cloud' };
  const entries = Object.entries(details);
  yield* tooMany('profile.location.details', entries, DETAILS_MAX);
  for (const [key, value] of entries.slice(0, DETAILS_MAX)) {
    const field = 'profile.location.details';
    yield* optionalLine(field, value, DETAIL_CHARS);
    const fault = lineViolation(field, key, DETAIL_KEY_CHARS);
    if (fault !== undefined) yield fault;
  }
}

function* optionalLine(field: string, text: string, max: number): Generator<FieldViolation> {
  const fault = text === '' ? undefined : lineViolation(field, text, max);
  if (fault !== undefined) yield fault;
}

function* tooMany(field: string, list: readonly unknown[], max: number): Generator<FieldViolation> {
  if (list.length > max) yield { field, description: `must have at most ${max} entries` };
}

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
