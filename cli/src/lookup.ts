/** What people call by a name, found by listing; ids are taken as they are. */

import type { Policy } from '@fleetwire/gen/access';
import type { ApiKey, Invite, Member, Workspace } from '@fleetwire/gen/org';
import { FleetwireError, foldName, type IdType, isId, nearestNames, printable } from '@fleetwire/kernel';
import { allRows } from './all-pages.ts';
import type { OrgClient } from './hub.ts';

export interface Kind<R> {
  /** In words, such as `policy`. */
  readonly what: string;
  readonly prefix: IdType;
  /** Of the error when there is none: that of the org service for an unknown id. */
  readonly reason: string;
  /** The command that lists them. */
  readonly list: string;
  readonly idOf: (row: R) => string;
  readonly nameOf: (row: R) => string;
}

const MEMBER: Kind<Member> = {
  what: 'member',
  prefix: 'user',
  reason: 'MEMBER_UNKNOWN',
  list: 'fleetwire member list',
  idOf: (row) => row.user,
  nameOf: (row) => row.email,
};

const WORKSPACE: Kind<Workspace> = {
  what: 'workspace',
  prefix: 'workspace',
  reason: 'WORKSPACE_UNKNOWN',
  list: 'fleetwire workspace list',
  idOf: (row) => row.id,
  nameOf: (row) => row.name,
};

const POLICY: Kind<Policy> = {
  what: 'policy',
  prefix: 'policy',
  reason: 'POLICY_UNKNOWN',
  list: 'fleetwire policy list',
  idOf: (row) => row.id,
  nameOf: (row) => row.name,
};

const KEY: Kind<ApiKey> = {
  what: 'API key',
  prefix: 'key',
  reason: 'API_KEY_UNKNOWN',
  list: 'fleetwire key list',
  idOf: (row) => row.id,
  nameOf: (row) => row.name,
};

const INVITE: Kind<Invite> = {
  what: 'open invite',
  prefix: 'invite',
  reason: 'INVITE_UNKNOWN',
  list: 'fleetwire invite list',
  idOf: (row) => row.id,
  nameOf: (row) => row.email,
};

/** The row with this id or, regardless of case, name. Throws not_found, or invalid_argument NAME_AMBIGUOUS. */
export function pick<R>(kind: Kind<R>, wanted: string, rows: readonly R[]): R {
  const byId = rows.find((row) => kind.idOf(row) === wanted);
  if (byId !== undefined) return byId;
  const found = rows.filter((row) => foldName(kind.nameOf(row)) === foldName(wanted));
  if (found.length === 1) return found[0]!;
  if (found.length > 1) {
    const ids = found.map(kind.idOf);
    throw new FleetwireError(
      'invalid_argument',
      'NAME_AMBIGUOUS',
      `${found.length} of them are called "${printable(wanted)}"`,
      { help: `Give the id of the ${kind.what}: ${ids.join(', ')}`, details: { ids: ids.join(',') } },
    );
  }
  const near = nearestNames(wanted, new Set(rows.map(kind.nameOf)));
  throw new FleetwireError('not_found', kind.reason, `there is no ${kind.what} "${printable(wanted)}"`, {
    help:
      near.length > 0 ? `Did you mean ${near.join(' or ')}?` : `See who or what there is with: ${kind.list}`,
    details: { suggestions: near.join(',') },
  });
}

/** The id: rows are asked for only when `wanted` is not one already. */
async function idBy<R>(kind: Kind<R>, wanted: string, rows: () => Promise<readonly R[]>): Promise<string> {
  return isId(kind.prefix, wanted) ? wanted : kind.idOf(pick(kind, wanted, await rows()));
}

/** A member by e-mail address or id. */
export async function findMember(door: OrgClient, wanted: string): Promise<Member> {
  return pick(MEMBER, wanted, await allMembers(door));
}

export const allMembers = (
  door: OrgClient,
  filter: { org?: string; role?: string; emailContains?: string } = {},
) =>
  allRows(
    (page) => door.listMembers({ ...filter, ...page }),
    (page) => page.members,
  );

/** The option of lists that can be of one member only; see `userId`. */
export const MEMBER_OPTION = [
  '--member <member>',
  'only those of this member, by e-mail address or id',
] as const;

/** The id of a user; empty where none is wanted. */
export const userId = async (door: OrgClient, wanted: string | undefined): Promise<string> =>
  wanted === undefined ? '' : idBy(MEMBER, wanted, () => allMembers(door));

export async function findWorkspace(door: OrgClient, wanted: string): Promise<Workspace> {
  return pick(WORKSPACE, wanted, await allWorkspaces(door));
}

const allWorkspaces = (door: OrgClient) =>
  allRows(
    (page) => door.listWorkspaces(page),
    (page) => page.workspaces,
  );

export const workspaceId = (door: OrgClient, wanted: string): Promise<string> =>
  idBy(WORKSPACE, wanted, () => allWorkspaces(door));

/** A repository of the workspace by URL or id; throws not_found REPO_UNKNOWN. */
export function repoOf(workspace: Workspace, wanted: string): string {
  const { repositories } = workspace;
  const found = repositories.find(({ id, url }) => id === wanted || url === wanted);
  if (found !== undefined) return found.id;
  const urls = repositories.map(({ url }) => url);
  throw new FleetwireError(
    'not_found',
    'REPO_UNKNOWN',
    `the workspace ${printable(workspace.name)} has no repository "${printable(wanted)}"`,
    { help: urls.length === 0 ? 'It has none.' : `It has: ${urls.join(', ')}` },
  );
}

/** The id of a repository of any workspace. */
export async function repoId(door: OrgClient, wanted: string): Promise<string> {
  if (isId('repo', wanted)) return wanted;
  const all = (await allWorkspaces(door)).flatMap((workspace) => workspace.repositories);
  const found = new Set(all.filter(({ url }) => url === wanted).map(({ id }) => id));
  if (found.size === 1) return [...found][0]!;
  const [problem, reason] =
    found.size === 0
      ? (['no workspace has', 'REPO_UNKNOWN'] as const)
      : (['several have', 'NAME_AMBIGUOUS'] as const);
  throw new FleetwireError(
    found.size === 0 ? 'not_found' : 'invalid_argument',
    reason,
    `${problem} a repository "${printable(wanted)}"`,
    { help: 'See the repositories and their ids with: fleetwire workspace list --json' },
  );
}

export async function findPolicy(door: OrgClient, wanted: string): Promise<Policy> {
  return pick(POLICY, wanted, await allPolicies(door));
}

export const allPolicies = (door: OrgClient, filter: { level?: string } = {}) =>
  allRows(
    (page) => door.listPolicies({ ...filter, ...page }),
    (page) => page.policies,
  );

/** A key that is not revoked, by its name or id. */
export const keyId = (door: OrgClient, wanted: string): Promise<string> =>
  idBy(KEY, wanted, async () => (await allKeys(door)).filter((key) => key.revokedAtMs === 0));

export const allKeys = (door: OrgClient, filter: { user?: string } = {}) =>
  allRows(
    (page) => door.listApiKeys({ ...filter, ...page }),
    (page) => page.keys,
  );

/** An open invite, by the address or its id. */
export const inviteId = (door: OrgClient, wanted: string): Promise<string> =>
  idBy(INVITE, wanted, () => allInvites(door, { status: 'pending' }));

export const allInvites = (door: OrgClient, filter: { status?: string } = {}) =>
  allRows(
    (page) => door.listInvites({ ...filter, ...page }),
    (page) => page.invites,
  );

export const allJoinTokens = (door: OrgClient, filter: { user?: string; status?: string } = {}) =>
  allRows(
    (page) => door.listJoinTokens({ ...filter, ...page }),
    (page) => page.tokens,
  );
