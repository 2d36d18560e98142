/** One agent in the routing table, as small as can be: what it shares with its neighbours is kept once. */

import { inboxSubject, MANY } from '@fleetwire/contract';
import type { Route } from '@fleetwire/gen/message';
import { foldName, isCapability, isName } from '@fleetwire/kernel';

/** Where agents live: one object for all agents of a node. */
export interface Place {
  readonly org: string;
  readonly node: string;
  readonly nodeName: string;
  /** Inbox subjects of agents there, but for the agent's id at the end. */
  readonly prefix: string;
  /** The inbox subject of messages to several of them. */
  readonly many: string;
  /** Those of the table, in no order. */
  readonly agents: RouteEntry[];
}

const NOTHING: readonly string[] = [];

/** Immutable, but that the table puts the place, the list and the project which it shares with others. */
export class RouteEntry {
  /** @internal */
  place: Place;
  readonly agent: string;
  /** As its owner writes it. */
  readonly name: string;
  readonly folded: string;
  readonly epoch: number;
  /** Folded, each once. */
  capabilities: readonly string[];
  /** Its workspace is suspended: nothing is delivered. */
  readonly suspended: boolean;
  /** Its mail is on the way from the node where it lived before. */
  readonly moving: boolean;
  /** What it works on, folded; empty: nothing that is known. */
  project: string;

  /** Throws RangeError for ids that no subject can hold. */
  constructor(org: string, route: Route) {
    const { agent, name, node, nodeName, epoch, shard } = route;
    const subject = inboxSubject.build({ shard, org, node, agent });
    const prefix = subject.slice(0, subject.length - agent.length);
    this.place = { org, node, nodeName, prefix, many: prefix + MANY, agents: [] };
    this.agent = agent;
    this.name = name;
    this.folded = foldName(name);
    this.epoch = epoch;
    this.capabilities = route.capabilities.length === 0 ? NOTHING : capabilitiesOf(route.capabilities);
    this.suspended = route.suspended;
    this.moving = route.movingFrom !== '';
    this.project = isName(route.project) ? foldName(route.project) : '';
  }

  get org(): string {
    return this.place.org;
  }
  get node(): string {
    return this.place.node;
  }
  get nodeName(): string {
    return this.place.nodeName;
  }
  /** The inbox subject of this agent; made when it is asked for, since 80 characters would be a third of the entry. */
  get subject(): string {
    return this.place.prefix + this.agent;
  }
}

/** Undefined when the route names things that no subject can hold. */
export function routeEntry(org: string, route: Route): RouteEntry | undefined {
  if (!isName(route.name) || !isName(route.nodeName)) return undefined;
  try {
    return new RouteEntry(org, route);
  } catch {
    return undefined;
  }
}

/** What is no capability is left out: nobody can ask for it. */
function capabilitiesOf(given: readonly string[]): readonly string[] {
  return [...new Set(given.filter(isCapability).map(foldName))];
}
