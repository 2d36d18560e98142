/** What an agent may say of itself: one set of rules, for the node's door, the registry's and the command line's. */

import type { AgentProfile, Location } from '@fleetwire/gen/registry';
import {
  type FieldViolation,
  FleetwireError,
  foldName,
  isCapability,
  isName,
  lineViolation,
} from '@fleetwire/kernel';
import { LIMITS } from './limits.ts';

/**
 * The project that an agent works on, for addresses like app:alice: the last part of its repo, folded and without .git; empty
 * where there is none or it is no name.
 */
export function projectOf(repo: string): string {
  const last = /([^/:]*?)(?:\.git)?\/*$/.exec(repo)?.[1] ?? '';
  return isName(last) ? foldName(last) : '';
}

/** In the order of Route.visibility; the first is that of an agent that has said nothing. */
export const VISIBILITIES: readonly string[] = ['isolated', 'shared', 'group'];
const PLACES: readonly string[] = ['', 'process', 'container', 'cloud'];
const DETAILS = { entries: 16, keyChars: 64, valueChars: 256 } as const;

/** The form in which capabilities are kept and compared: case does not matter. Undefined: it is none. */
export function foldCapability(text: string): string | undefined {
  return isCapability(text) ? foldName(text) : undefined;
}

/**
 * In the form in which it is kept: capabilities folded and sorted, nothing twice. Throws invalid_argument INVALID_PROFILE
 * with a violation for each thing that does not fit.
 */
export function checkProfile(profile: AgentProfile): AgentProfile {
  const violations = [...faultsOf(profile)];
  if (violations.length === 0) {
    const folded = profile.capabilities.map(foldName);
    const tools = profile.tools && { tools: [...new Set(profile.tools.tools)] };
    return { ...profile, capabilities: [...new Set(folded)].toSorted(), tools };
  }
  const { field, description } = violations[0]!;
  throw new FleetwireError('invalid_argument', 'INVALID_PROFILE', 'the profile of the agent does not fit', {
    help: `Correct ${field}: it ${description}.`,
    violations,
  });
}

function* faultsOf(profile: AgentProfile): Generator<FieldViolation> {
  const { model, repo, capabilities, tools, visibility, group } = profile;
  yield* line('profile.model', model, LIMITS.modelChars);
  yield* line('profile.repo', repo, LIMITS.repoChars);
  yield* count('profile.capabilities', capabilities, LIMITS.capabilities);
  for (const [i, name] of capabilities.slice(0, LIMITS.capabilities).entries())
    if (foldCapability(name) === undefined)
      yield {
        field: `profile.capabilities[${i}]`,
        description: 'must be 1 to 64 of a-z, 0-9, dot, underscore and hyphen, a letter or digit first',
      };
  const list = tools?.tools ?? [];
  yield* count('profile.tools', list, LIMITS.tools);
  for (const [i, tool] of list.slice(0, LIMITS.tools).entries())
    yield* filledLine(`profile.tools[${i}]`, tool, LIMITS.toolChars);
  if (visibility !== '' && !VISIBILITIES.includes(visibility))
    yield { field: 'profile.visibility', description: `must be one of ${VISIBILITIES.join(', ')}` };
  if (visibility === 'group' ? !isName(group) : group !== '')
    yield {
      field: 'profile.group',
      description: 'must name the group, by 1 to 50 letters, digits and hyphens, if the visibility is group',
    };
  if (profile.location !== undefined) yield* locationFaults(profile.location);
}

function* locationFaults({ kind, details }: Location): Generator<FieldViolation> {
  if (!PLACES.includes(kind))
    yield { field: 'profile.location.kind', description: 'must be process, container or cloud' };
  const field = 'profile.location.details';
  const entries = Object.entries(details);
  yield* count(field, entries, DETAILS.entries);
  for (const [key, value] of entries.slice(0, DETAILS.entries)) {
    yield* filledLine(field, key, DETAILS.keyChars);
    yield* line(field, value, DETAILS.valueChars);
  }
}

function* filledLine(field: string, text: string, max: number): Generator<FieldViolation> {
  const fault = lineViolation(field, text, max);
  if (fault !== undefined) yield fault;
}

/** It may be empty. */
function* line(field: string, text: string, max: number): Generator<FieldViolation> {
  if (text !== '') yield* filledLine(field, text, max);
}

function* count(field: string, list: readonly unknown[], max: number): Generator<FieldViolation> {
  if (list.length > max) yield { field, description: `must have at most ${max} entries` };
}
