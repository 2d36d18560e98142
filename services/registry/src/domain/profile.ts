/** What an agent says of itself: checked, and brought into the form in which it is kept. */

import { LIMITS } from '@fleetwire/contract';
import type { AgentProfile } from '@fleetwire/gen/registry';
import { type FieldViolation, FleetwireError, isName, lineViolation } from '@fleetwire/kernel';
import type { AgentRow } from '../store/entities.ts';

export type StoredProfile = Pick<
  AgentRow,
  'model' | 'capabilities' | 'tools' | 'repo' | 'visibility' | 'policyGroup' | 'location' | 'movable'
>;

/** Of an agent that has said nothing. */
export const NO_PROFILE: StoredProfile = {
  model: '',
  capabilities: [],
  tools: null,
  repo: '',
  visibility: 'isolated',
  policyGroup: '',
  location: {},
  movable: false,
};

/** In the order of Route.visibility. */
export const VISIBILITIES: readonly string[] = ['isolated', 'shared', 'group'];
const LOCATIONS: readonly string[] = ['', 'process', 'container', 'cloud'];
const CAPABILITY = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const DETAILS = { entries: 16, keyChars: 64, valueChars: 256 } as const;
const ADAPTERS = ['tmux', 'stdio', 'stream', 'mailbox'];

/** The form in which capabilities are kept and compared; undefined: it is none. */
export function foldCapability(text: string): string | undefined {
  const folded = text.toLowerCase();
  return CAPABILITY.test(folded) ? folded : undefined;
}

/** Throws INVALID_PROFILE with all that does not fit. */
export function readProfile(profile: AgentProfile): StoredProfile {
  const violations = profileViolations(profile);
  if (violations.length > 0) {
    throw new FleetwireError('invalid_argument', 'INVALID_PROFILE', 'the profile of the agent does not fit', {
      help: `Correct ${violations[0]!.field}: it ${violations[0]!.description}.`,
      violations,
    });
  }
  const { location } = profile;
  const folded = profile.capabilities.map((capability) => capability.toLowerCase());
  return {
    model: profile.model,
    capabilities: [...new Set(folded)].toSorted((a, b) => (a < b ? -1 : 1)),
    tools: profile.tools === undefined ? null : [...new Set(profile.tools.tools)],
    repo: profile.repo,
    visibility: profile.visibility || 'isolated',
    policyGroup: profile.group,
    location: location === undefined ? {} : { kind: location.kind, details: { ...location.details } },
    movable: profile.movable,
  };
}

function profileViolations(profile: AgentProfile): FieldViolation[] {
  const found: (FieldViolation | undefined)[] = [
    line('profile.model', profile.model, LIMITS.modelChars),
    line('profile.repo', profile.repo, LIMITS.repoChars),
    count('profile.capabilities', profile.capabilities, LIMITS.capabilities),
    count('profile.tools', profile.tools?.tools ?? [], LIMITS.tools),
    ...visibilityViolations(profile),
    ...locationViolations(profile),
  ];
  for (const [i, capability] of profile.capabilities.slice(0, LIMITS.capabilities).entries()) {
    if (foldCapability(capability) !== undefined) continue;
    const description = 'must be 1 to 64 of a-z, 0-9, dot, underscore and hyphen, not beginning with a mark';
    found.push({ field: `profile.capabilities[${i}]`, description });
  }
  for (const [i, tool] of (profile.tools?.tools ?? []).slice(0, LIMITS.tools).entries())
    found.push(lineViolation(`profile.tools[${i}]`, tool, LIMITS.toolChars));
  return found.filter((violation) => violation !== undefined);
}

function visibilityViolations({ visibility, group }: AgentProfile): FieldViolation[] {
  if (visibility !== '' && !VISIBILITIES.includes(visibility))
    return [{ field: 'profile.visibility', description: `must be one of ${VISIBILITIES.join(', ')}` }];
  if (visibility === 'group' && !isName(group))
    return [
      {
        field: 'profile.group',
        description: 'must name the group, by 1 to 50 letters, digits and hyphens',
      },
    ];
  if (visibility !== 'group' && group !== '')
    return [{ field: 'profile.group', description: 'must be empty unless the visibility is group' }];
  return [];
}

function locationViolations({ location }: AgentProfile): FieldViolation[] {
  if (location === undefined) return [];
  const found: (FieldViolation | undefined)[] = [];
  if (!LOCATIONS.includes(location.kind))
    found.push({ field: 'profile.location.kind', description: 'must be process, container or cloud' });
  const details = Object.entries(location.details);
  found.push(count('profile.location.details', details, DETAILS.entries));
  for (const [key, value] of details.slice(0, DETAILS.entries)) {
    found.push(lineViolation('profile.location.details', key, DETAILS.keyChars));
    found.push(line('profile.location.details', value, DETAILS.valueChars));
  }
  return found.filter((violation) => violation !== undefined);
}

/** As lineViolation, but it may be empty. */
const line = (field: string, value: string, max: number): FieldViolation | undefined =>
  value === '' ? undefined : lineViolation(field, value, max);

const count = (field: string, list: readonly unknown[], max: number): FieldViolation | undefined =>
  list.length > max ? { field, description: `must have at most ${max} entries` } : undefined;

export function sameProfile(a: StoredProfile, b: StoredProfile): boolean {
  const seen = (p: StoredProfile) =>
    JSON.stringify([p.model, p.capabilities, p.tools, p.repo, p.visibility, p.policyGroup, p.movable]);
  return seen(a) === seen(b) && sameLocation(a.location, b.location);
}

/** PostgreSQL keeps the keys in an order of its own. */
function sameLocation(a: StoredProfile['location'], b: StoredProfile['location']): boolean {
  const sorted = (of: StoredProfile['location']) =>
    JSON.stringify([
      of.kind ?? '',
      Object.entries(of.details ?? {}).toSorted(([x], [y]) => (x < y ? -1 : 1)),
    ]);
  return sorted(a) === sorted(b);
}

/** As it is told. */
export function shownProfile(row: StoredProfile): AgentProfile {
  const { kind, details } = row.location;
  return {
    model: row.model,
    capabilities: [...row.capabilities],
    tools: row.tools === null ? undefined : { tools: [...row.tools] },
    repo: row.repo,
    visibility: row.visibility,
    group: row.policyGroup,
    location: kind === undefined ? undefined : { kind, details: { ...details } },
    movable: row.movable,
  };
}

/** Throws UNKNOWN_ADAPTER. */
export function checkAdapter(adapter: string): void {
  if (ADAPTERS.includes(adapter)) return;
  throw new FleetwireError('invalid_argument', 'UNKNOWN_ADAPTER', 'there is no such adapter', {
    help: `Use one of: ${ADAPTERS.join(', ')}.`,
  });
}
