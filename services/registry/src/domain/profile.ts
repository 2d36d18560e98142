/** What an agent says of itself, in the form in which it is kept. */

import { checkProfile } from '@fleetwire/contract';
import type { AgentProfile } from '@fleetwire/gen/registry';
import { FleetwireError } from '@fleetwire/kernel';
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

const ADAPTERS = ['tmux', 'stdio', 'stream', 'mailbox'];

/** Throws INVALID_PROFILE with all that does not fit. */
export function readProfile(given: AgentProfile): StoredProfile {
  const { location, tools, visibility, group, ...same } = checkProfile(given);
  return {
    ...same,
    tools: tools === undefined ? null : tools.tools,
    visibility: visibility || NO_PROFILE.visibility,
    policyGroup: group,
    location: location === undefined ? {} : { kind: location.kind, details: { ...location.details } },
  };
}

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
