/** What delivery asks of the routing table: which agents are there, and what nodes are called. */

import type { Bucket } from '@fleetwire/broker';
import { isSubjectToken } from '@fleetwire/contract';
import { NodeRoute } from '@fleetwire/gen/message';
import { slices } from '@fleetwire/kernel';

export interface Roster {
  /** Those of the ids that the org has as agents. */
  agents(org: string, ids: Iterable<string>): Promise<ReadonlySet<string>>;
  /** Names by id, of those that are known, for at most NODES_MAX. */
  nodeNames(org: string, ids: Iterable<string>): Promise<Record<string, string>>;
}

/** Nodes of one trace whose names are looked up. */
export const NODES_MAX = 200;
const AT_ONCE = 32;

/** Of the bucket fw-routes; each answer is as new as the bucket. */
export function rosterOf(routes: Pick<Bucket, 'get'>): Roster {
  const entries = async (org: string, ids: Iterable<string>, max: number) => {
    const found = new Map<string, Uint8Array>();
    const wanted = [...new Set(ids)].filter(isSubjectToken).slice(0, max);
    for (const some of slices(wanted, AT_ONCE))
      await Promise.all(
        some.map(async (id) => {
          const entry = await routes.get(`${org}.${id}`);
          if (entry !== undefined) found.set(id, entry.value);
        }),
      );
    return found;
  };
  return {
    agents: async (org, ids) => new Set((await entries(org, ids, Number.POSITIVE_INFINITY)).keys()),
    nodeNames: async (org, ids) => {
      const names: Record<string, string> = {};
      for (const [id, value] of await entries(org, ids, NODES_MAX)) {
        const { name } = NodeRoute.decode(value);
        if (name !== '') names[id] = name;
      }
      return names;
    },
  };
}
