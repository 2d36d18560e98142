/** The routing table in memory: agents, nodes and channels of every org; fed by the watch of the routes bucket. */

import type { ChannelRoute, NodeRoute } from '@fleetwire/gen/message';
import { Anycast } from './anycast.ts';
import type { Able } from './capability-index.ts';
import type { Shares } from './channel-shares.ts';
import type { ChannelEntry, ChannelKind, NodeEntry } from './org-routes.ts';
import { OrgRoutes } from './org-routes.ts';
import type { Place, RouteEntry } from './route-entry.ts';

export type { Place, RouteEntry } from './route-entry.ts';
export { routeEntry } from './route-entry.ts';

export type NameKind = 'agent' | 'node' | 'project' | ChannelKind;

/**
 * Guarantees: an entry never gives way to one of an older epoch of the same agent, node or channel; where two have
 * claimed one name, the one put last has it; removing one frees its name only while the name is still its own. Of the
 * same epoch the one put last counts: a node's load changes without a new one.
 */
export class RoutingTable {
  /** Picks among those who can do something. */
  readonly anycast: Anycast = new Anycast(this);
  readonly #orgs = new Map<string, OrgRoutes>();
  #size = 0;

  /** Agents in the table. */
  get size(): number {
    return this.#size;
  }

  /** What else is in it. */
  get counts(): { readonly nodes: number; readonly channels: number } {
    const counts = { nodes: 0, channels: 0 };
    for (const org of this.#orgs.values()) {
      counts.nodes += org.nodes.size;
      counts.channels += org.channels;
    }
    return counts;
  }

  /** False when the table keeps what it has, because that is newer. */
  put(entry: RouteEntry): boolean {
    const org = this.#org(entry.org);
    const before = org.byAgent.size;
    const taken = org.put(entry);
    this.#size += org.byAgent.size - before;
    return taken;
  }

  /** The entry that is gone, or undefined when there was none. */
  remove(orgId: string, agent: string): RouteEntry | undefined {
    const gone = this.#orgs.get(orgId)?.remove(agent);
    if (gone === undefined) return undefined;
    this.#size--;
    this.#tidy(orgId);
    return gone;
  }

  putNode(org: string, route: NodeRoute): void {
    this.#org(org).putNode(route);
  }

  removeNode(orgId: string, node: string): void {
    this.#orgs.get(orgId)?.removeNode(node);
    this.#tidy(orgId);
  }

  putChannel(org: string, route: ChannelRoute): void {
    this.#org(org).putChannel(route);
  }

  removeChannel(orgId: string, channel: string): void {
    this.#orgs.get(orgId)?.removeChannel(channel);
    this.#tidy(orgId);
  }

  /** `folded` as foldName gives it. */
  find(org: string, folded: string): RouteEntry | undefined {
    return this.#orgs.get(org)?.byName.get(folded);
  }

  /** By its id. */
  agent(org: string, id: string): RouteEntry | undefined {
    return this.#orgs.get(org)?.byAgent.get(id);
  }

  /** Undefined also where only agents of the node are known: then nobody has said that it is online. */
  node(org: string, id: string): NodeEntry | undefined {
    return this.#orgs.get(org)?.nodes.get(id);
  }

  /** By its name, folded. */
  nodeByName(org: string, folded: string): NodeEntry | undefined {
    return this.#orgs.get(org)?.nodeByName(folded);
  }

  /** Where the agents of an org live, with those agents; with `node`, its id, there only. */
  places(org: string, node?: string): Iterable<Place> {
    const routes = this.#orgs.get(org);
    if (routes === undefined) return [];
    return node === undefined ? routes.places : routes.placesOf(node);
  }

  /** Who works on it, folded; undefined when nobody does. */
  project(org: string, project: string): ReadonlySet<RouteEntry> | undefined {
    return this.#orgs.get(org)?.project(project);
  }

  /** By its name, without # or %, in any case. */
  channel(org: string, name: string, kind: ChannelKind): ChannelEntry | undefined {
    return this.#orgs.get(org)?.channel(name, kind);
  }

  /** Members of a channel of this org by place; who is unknown or suspended is left out. */
  sharesOf(org: string, channel: ChannelEntry): Shares {
    return this.#org(org).sharesOf(channel);
  }

  /** Who can do this, folded; undefined when nobody can. */
  able(org: string, capability: string): Able | undefined {
    return this.#orgs.get(org)?.able(capability);
  }

  /** Names of an org as their owners write them, at most `limit`; those of projects are folded. */
  *names(org: string, limit: number, kind: NameKind = 'agent'): Iterable<string> {
    let left = limit;
    for (const name of this.#namesOf(org, kind)) {
      if (left-- <= 0) return;
      yield name;
    }
  }

  *#namesOf(id: string, kind: NameKind): Iterable<string> {
    const org = this.#orgs.get(id);
    if (org === undefined) return;
    if (kind === 'agent') for (const { name } of org.byName.values()) yield name;
    else if (kind === 'node') for (const { name } of org.nodes.values()) yield name;
    else if (kind === 'project') yield* org.projects;
    else for (const channel of org.allChannels) if (channel.kind === kind) yield channel.name;
  }

  #org(id: string): OrgRoutes {
    let org = this.#orgs.get(id);
    if (org === undefined) {
      org = new OrgRoutes();
      this.#orgs.set(id, org);
    }
    return org;
  }

  #tidy(id: string): void {
    if (this.#orgs.get(id)?.empty === true) this.#orgs.delete(id);
  }
}
