/** Rules of workspaces: tiers, states, repositories. */

import type { Repository } from '@fleetwire/gen/org';
import { type FieldViolation, FleetwireError, lineViolation } from '@fleetwire/kernel';
import { refuseViolations, TEXT_LIMITS, unlessIn } from './texts.ts';

const TIERS = ['small', 'medium', 'large', 'xlarge'];
/** What its user may set; `suspended` comes and goes by membership only. */
const SETTABLE = ['running', 'stopped', 'failed'];
const REPOS_MAX = 50;
const AGENTS_MAX = 1_000_000;
/** A workspace whose member left is kept for certain for so long. */
export const GRACE_MS = 30 * 24 * 3_600_000;

export interface WorkspaceFields {
  readonly name?: string | undefined;
  readonly status?: string | undefined;
  readonly maxAgents?: number | undefined;
  readonly resourceTier?: string | undefined;
  readonly repositories?: readonly Repository[] | undefined;
}

/** Throws INVALID_WORKSPACE with everything that does not fit; what is left out is not looked at. */
export function checkWorkspace(fields: WorkspaceFields): void {
  const { name, status, maxAgents, resourceTier, repositories } = fields;
  refuseViolations('INVALID_WORKSPACE', [
    name === undefined ? undefined : lineViolation('name', name, TEXT_LIMITS.nameChars),
    unlessIn('status', status, SETTABLE),
    unlessIn('resource_tier', resourceTier, TIERS),
    maxAgents !== undefined && maxAgents > AGENTS_MAX
      ? { field: 'max_agents', description: `must be at most ${AGENTS_MAX}` }
      : undefined,
    ...repoViolations(repositories ?? []),
  ]);
}

function repoViolations(repositories: readonly Repository[]): (FieldViolation | undefined)[] {
  if (repositories.length > REPOS_MAX)
    return [{ field: 'repositories', description: `must be at most ${REPOS_MAX}` }];
  const seen = new Set<string>();
  return repositories.flatMap(({ url, defaultBranch }, i) => {
    const field = `repositories[${i}]`;
    const twice = seen.has(url);
    seen.add(url);
    return [
      lineViolation(`${field}.url`, url, TEXT_LIMITS.urlChars),
      defaultBranch === ''
        ? undefined
        : lineViolation(`${field}.default_branch`, defaultBranch, TEXT_LIMITS.nameChars),
      twice ? { field: `${field}.url`, description: 'stands in the list twice' } : undefined,
    ];
  });
}

export function workspaceSuspended(name: string): FleetwireError {
  return new FleetwireError(
    'failed_precondition',
    'WORKSPACE_SUSPENDED',
    `the workspace "${name}" is suspended`,
    {
      help: 'Its member has left the org; an admin can give it to another member.',
    },
  );
}
