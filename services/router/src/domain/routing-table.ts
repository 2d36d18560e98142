/** The routing table in memory: per org, folded name to the agent's route; fed by the watch of the routes bucket. */

import { inboxSubject } from '@fleetwire/contract';
import type { Route } from '@fleetwire/gen/message';
import { foldName, isName } from '@fleetwire/kernel';

/** A route with what is derived from it once, not per message. */
export interface RouteEntry {
  readonly org: string;
  readonly agent: string;
  /** As its owner writes it. */
  readonly name: string;
  readonly folded: string;
  readonly node: string;
  readonly nodeName: string;
  readonly epoch: number;
  /** The inbox subject of this agent. */
  readonly subject: string;
}

/** Undefined when the route names things that no subject can hold. */
export function routeEntry(org: string, route: Route): RouteEntry | undefined {
  if (!isName(route.name) || !isName(route.nodeName)) return undefined;
  try {
    const { agent, name, node, nodeName, epoch, shard } = route;
    const subject = inboxSubject.build({ shard, org, node, agent });
    return { org, agent, name, folded: foldName(name), node, nodeName, epoch, subject };
  } catch {
    return undefined;
  }
}

interface OrgRoutes {
  readonly byName: Map<string, RouteEntry>;
  readonly byAgent: Map<string, RouteEntry>;
}

/**
 * Guarantees: a route never gives way to one of an older epoch of the same agent; where two agents have claimed one
 * name, the one put last has it; removing an agent frees its name only while the name is still its own.
 */
export class RoutingTable {
  readonly #orgs = new Map<string, OrgRoutes>();
  #size = 0;

  /** Agents in the table. */
  get size(): number {
    return this.#size;
  }

  /** False when the table keeps what it has, because that is newer. */
  put(entry: RouteEntry): boolean {
    const org = this.#org(entry.org);
    const before = org.byAgent.get(entry.agent);
    if (before !== undefined && before.epoch > entry.epoch) return false;
    if (before === undefined) this.#size++;
    else if (org.byName.get(before.folded) === before) org.byName.delete(before.folded);
    org.byAgent.set(entry.agent, entry);
    org.byName.set(entry.folded, entry);
    return true;
  }

  /** The entry that is gone, or undefined when there was none. */
  remove(orgId: string, agent: string): RouteEntry | undefined {
    const org = this.#orgs.get(orgId);
    const entry = org?.byAgent.get(agent);
    if (org === undefined || entry === undefined) return undefined;
    org.byAgent.delete(agent);
    if (org.byName.get(entry.folded) === entry) org.byName.delete(entry.folded);
    if (org.byAgent.size === 0) this.#orgs.delete(orgId);
    this.#size--;
    return entry;
  }

  /** By the agent's id. */
  byAgent(org: string, agent: string): RouteEntry | undefined {
    return this.#orgs.get(org)?.byAgent.get(agent);
  }

  /** `folded` as foldName gives it. */
  find(org: string, folded: string): RouteEntry | undefined {
    return this.#orgs.get(org)?.byName.get(folded);
  }

  /** Names of an org as their owners write them, at most `limit`. */
  *names(org: string, limit: number): Iterable<string> {
    let left = limit;
    for (const entry of this.#orgs.get(org)?.byName.values() ?? []) {
      if (left-- <= 0) return;
      yield entry.name;
    }
  }

  #org(id: string): OrgRoutes {
    let org = this.#orgs.get(id);
    if (org === undefined) {
      org = { byName: new Map(), byAgent: new Map() };
      this.#orgs.set(id, org);
    }
    return org;
  }
}
