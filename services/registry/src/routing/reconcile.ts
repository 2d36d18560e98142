/** Makes the routing table say what PostgreSQL says, while agents come and go. */

import { parseRouteKey, routeKey } from '@fleetwire/contract';
import type { Route } from '@fleetwire/gen/message';
import { slices } from '@fleetwire/kernel';
import { diffRoutes } from '../domain/route-diff.ts';
import type { AgentRows } from '../store/agents.ts';
import { type RouteTable, routeOf } from './route-table.ts';

export interface ReconcileParts {
  readonly agents: Pick<AgentRows, 'scan' | 'byIds'>;
  readonly routes: Pick<RouteTable, 'readAll' | 'ensureRoute' | 'removeKey'>;
}

export interface RemovalParts {
  readonly agents: Pick<AgentRows, 'byIds'>;
  readonly routes: Pick<RouteTable, 'removeKey'>;
}

const PAGE = 1000;
const AT_ONCE = 16;

/**
 * Only the holder of the lease should do this, but two at once do no harm. An agent that is registered or removed in the
 * meantime is looked up once more before its entry is taken away, and after its entry was written.
 */
export async function reconcile(
  parts: ReconcileParts,
  over: AbortSignal,
): Promise<{ routes: number; put: number; removed: number }> {
  const wanted = await wantedRoutes(parts.agents);
  const { put, remove } = diffRoutes(wanted, await parts.routes.readAll(over));
  let removed = 0;
  for (const keys of slices(
    remove.map(([key]) => key),
    PAGE,
  )) {
    if (over.aborted) break;
    removed += await removeGone(parts, keys);
  }
  for (const page of slices(put, PAGE)) {
    if (over.aborted) break;
    for (const some of slices(page, AT_ONCE))
      await Promise.all(some.map(([key, route]) => parts.routes.ensureRoute(key, route)));
    removed += await removeGone(
      parts,
      page.map(([key]) => key),
    );
  }
  return { routes: wanted.size, put: put.length, removed };
}

async function wantedRoutes(agents: Pick<AgentRows, 'scan'>): Promise<Map<string, Route>> {
  const wanted = new Map<string, Route>();
  for (let after = ''; ; ) {
    const rows = await agents.scan(after, PAGE);
    for (const row of rows) wanted.set(routeKey(row.org, row.id), routeOf(row));
    if (rows.length < PAGE) return wanted;
    after = rows.at(-1)!.id;
  }
}

/** Removes those of the entries whose agent is not in PostgreSQL (any more); gives how many. */
export async function removeGone(parts: RemovalParts, keys: readonly string[]): Promise<number> {
  let removed = 0;
  const ofAgents = keys.filter((key) => parseRouteKey(key)?.kind !== 'node');
  for (const page of slices(ofAgents, PAGE)) {
    const ids = page.map((key) => key.slice(key.indexOf('.') + 1));
    const present = new Set((await parts.agents.byIds(ids)).map((row) => routeKey(row.org, row.id)));
    const gone = page.filter((key) => !present.has(key));
    for (const some of slices(gone, AT_ONCE))
      await Promise.all(some.map((key) => parts.routes.removeKey(key)));
    removed += gone.length;
  }
  return removed;
}
