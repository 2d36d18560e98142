/** What has to be done to make the routing table say what PostgreSQL says. */

import type { Route } from '@fleetwire/gen/message';

export interface PresentRoute {
  /** Undefined: the entry could not be decoded. */
  readonly route: Route | undefined;
  readonly revision: number;
}

export interface RouteDiff {
  /** Missing or different. */
  readonly put: readonly (readonly [key: string, route: Route])[];
  readonly remove: readonly (readonly [key: string, revision: number])[];
}

/**
 * `wanted` was read before `present`: an entry with a later epoch than the one wanted was written in between and
 * stays, and what is to be removed must be looked up once more before it is.
 */
export function diffRoutes(
  wanted: ReadonlyMap<string, Route>,
  present: ReadonlyMap<string, PresentRoute>,
): RouteDiff {
  const put: (readonly [string, Route])[] = [];
  for (const [key, route] of wanted) {
    const there = present.get(key)?.route;
    if (there === undefined || (there.epoch <= route.epoch && !sameRoute(there, route)))
      put.push([key, route]);
  }
  const remove: (readonly [string, number])[] = [];
  for (const [key, { revision }] of present) if (!wanted.has(key)) remove.push([key, revision]);
  return { put, remove };
}

export function sameRoute(a: Route, b: Route): boolean {
  return (
    a.agent === b.agent &&
    a.name === b.name &&
    a.node === b.node &&
    a.nodeName === b.nodeName &&
    a.epoch === b.epoch &&
    a.shard === b.shard &&
    a.movingFrom === b.movingFrom
  );
}
