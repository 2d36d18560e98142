/** Reads and writes workspaces, their repositories, and the agents assigned to them. */

import type { Repository, Workspace } from '@fleetwire/gen/org';
import { newId } from '@fleetwire/kernel';
import type { StoreTransaction } from '@fleetwire/store';
import { GRACE_MS } from '../domain/workspaces.ts';
import { countOf } from './orgs.ts';

type Query = StoreTransaction['query'];

export interface WorkspaceRecord {
  readonly id: string;
  readonly user_id: string;
  readonly name: string;
  readonly status: string;
  readonly status_before: string | null;
  readonly suspended_at_ms: number | null;
  readonly max_agents: number;
  readonly resource_tier: string;
  readonly created_at_ms: number;
  readonly version: number;
  readonly agents: number;
  readonly repos: readonly { id: string; url: string; branch: string }[];
}

const COLUMNS = `w.*, (select count(*) from assignments a where a.workspace = w.id) as agents,
  coalesce((select jsonb_agg(jsonb_build_object('id', r.id, 'url', r.url, 'branch', r.default_branch) order by r.position)
    from repos r where r.workspace = w.id), '[]') as repos`;

/** Deleted ones are not there. */
export async function workspaceById(
  query: Query,
  org: string,
  id: string,
): Promise<WorkspaceRecord | undefined> {
  const rows = await query<WorkspaceRecord>(
    `select ${COLUMNS} from workspaces w where w.org = $1 and w.id = $2 and w.deleted_at_ms is null`,
    [org, id],
  );
  return rows[0];
}

export function workspacesOf(
  query: Query,
  org: string,
  filter: { readonly after: string; readonly status: string; readonly user: string; readonly limit: number },
): Promise<WorkspaceRecord[]> {
  return query<WorkspaceRecord>(
    `select ${COLUMNS} from workspaces w where w.org = $1 and w.deleted_at_ms is null and w.id > $2
     and ($3 = '' or w.status = $3) and ($4 = '' or w.user_id = $4) order by w.id limit $5`,
    [org, filter.after, filter.status, filter.user, filter.limit],
  );
}

export function workspaceCount(query: Query, org: string): Promise<number> {
  return countOf(query, 'workspaces where org = $1 and deleted_at_ms is null', [org]);
}

/** The list as a whole: those that stay keep their ids. Gives the ids of those that have gone. */
export async function setRepos(
  query: Query,
  org: string,
  workspace: string,
  wanted: readonly Repository[],
): Promise<string[]> {
  const urls = wanted.map(({ url }) => url);
  const gone = await query<{ id: string }>(
    'delete from repos where workspace = $1 and not (url = any($2)) returning id',
    [workspace, urls],
  );
  for (const [position, { url, defaultBranch }] of wanted.entries())
    await query(
      `insert into repos (id, org, workspace, url, default_branch, position) values ($1, $2, $3, $4, $5, $6)
       on conflict (workspace, url) do update set default_branch = excluded.default_branch, position = excluded.position`,
      [newId('repo'), org, workspace, url, defaultBranch === '' ? 'main' : defaultBranch, position],
    );
  return gone.map(({ id }) => id);
}

export interface AssignmentRecord {
  readonly agent: string;
  readonly agent_name: string;
  readonly workspace: string;
  readonly repo: string | null;
  /** User to whom the workspace belongs. */
  readonly user_id: string;
  readonly status: string;
}

/** Of the whole org, or of one agent or workspace. */
export function assignmentsOf(
  query: Query,
  org: string,
  only: { readonly agent?: string; readonly workspaces?: readonly string[] } = {},
): Promise<AssignmentRecord[]> {
  return query<AssignmentRecord>(
    `select a.agent, a.agent_name, a.workspace, a.repo, w.user_id, w.status
     from assignments a join workspaces w on w.id = a.workspace
     where a.org = $1 and ($2::text is null or a.agent = $2) and ($3::text[] is null or a.workspace = any($3))
     order by a.agent`,
    [org, only.agent ?? null, only.workspaces ?? null],
  );
}

export function shownWorkspace(row: WorkspaceRecord): Workspace {
  const suspended = row.status === 'suspended' ? row.suspended_at_ms : null;
  return {
    id: row.id,
    name: row.name,
    user: row.user_id,
    status: row.status,
    repositories: row.repos.map(({ id, url, branch }) => ({ id, url, defaultBranch: branch })),
    maxAgents: row.max_agents,
    resourceTier: row.resource_tier,
    createdAtMs: row.created_at_ms,
    version: row.version,
    suspendedAtMs: suspended ?? 0,
    graceUntilMs: suspended === null ? 0 : suspended + GRACE_MS,
    agents: row.agents,
  };
}
