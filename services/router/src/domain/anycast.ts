/** Which one of the agents that can do something gets a message: live, least loaded first, bursts spread. */

import { hashOf, mix } from '@fleetwire/kernel';
import type { Able } from './capability-index.ts';
import { mayBePicked } from './capability-index.ts';
import type { NodeEntry, Sent } from './org-routes.ts';
import type { RouteEntry, RoutingTable } from './routing-table.ts';

/** What of a message the choice goes by. */
export interface Asking {
  readonly id: string;
  /** Never picked for its own message. */
  readonly fromAgent: string;
  /** Whom it may be given to at all; undefined: anybody. */
  readonly may?: (route: RouteEntry) => boolean;
}

export type Choice =
  | { readonly kind: 'route'; readonly route: RouteEntry; readonly detail: string }
  | { readonly kind: 'none'; readonly detail: string };

/** For this long, at most, what was sent to a node counts as load of it: by then it has told its own. */
const COUNTS_US = 10_000_000;
/** Agents of one node that are compared; which ones, the message's id says. */
const COMPARED_MAX = 64;

/**
 * Live is an agent whose node is online and not draining, and that is neither suspended nor moving. The least loaded node
 * is that with the smallest sum of the load it told and what this router has sent there since, for each able agent;
 * on it, the agent that was sent least. What is equal is decided by the message's id, so that two routers with the same
 * table and counts pick the same one.
 */
export class Anycast {
  readonly #table: RoutingTable;

  constructor(table: RoutingTable) {
    this.#table = table;
  }

  /** Changes nothing. `capability` folded. Takes time by the nodes that have it: about 0.05 ms for a thousand. */
  pick(org: string, capability: string, asking: Asking, nowUs: number): Choice {
    const able = this.#table.able(org, capability);
    if (able === undefined) return { kind: 'none', detail: `no agent of your org can "${capability}"` };
    const sender = this.#table.agent(org, asking.fromAgent);
    const own = sender?.capabilities.includes(capability) && mayBePicked(sender) ? sender : undefined;
    const seed = hashOf(asking.id);
    let best: { node: NodeEntry; agents: readonly RouteEntry[]; score: number; tie: number } | undefined;
    let live = 0;
    for (const [id, all] of able.nodes) {
      const node = this.#table.node(org, id);
      const agents = asking.may === undefined ? all : all.filter((each) => each === own || asking.may!(each));
      const count = own?.node === id ? agents.length - 1 : agents.length;
      if (node === undefined || !node.online || node.draining || count === 0) continue;
      live += count;
      const score = node.load + (sentTo(node, nowUs)?.total ?? 0) / count;
      if (best !== undefined && score > best.score) continue;
      const tie = mix(seed, node.hash);
      if (best === undefined || score < best.score || tie > best.tie) best = { node, agents, score, tie };
    }
    if (best === undefined) return { kind: 'none', detail: this.#whyNone(org, capability, able, own) };
    const route = this.#among(best.agents, own, seed, sentTo(best.node, nowUs));
    const detail = `one of ${live} live that can "${capability}": ${route.name} on ${best.node.name}, load ${best.node.load}`;
    return { kind: 'route', route, detail };
  }

  /** It goes there: counts until the node tells its load anew. */
  sent(route: RouteEntry, nowUs: number): void {
    const node = this.#table.node(route.org, route.node);
    if (node === undefined) return;
    let sent = sentTo(node, nowUs);
    if (sent === undefined) {
      sent = { sinceUs: nowUs, total: 0, byAgent: new Map() };
      node.sent = sent;
    }
    sent.total++;
    sent.byAgent.set(route.agent, (sent.byAgent.get(route.agent) ?? 0) + 1);
  }

  /** There is one beside `own`. */
  #among(
    agents: readonly RouteEntry[],
    own: RouteEntry | undefined,
    seed: number,
    sent: Sent | undefined,
  ): RouteEntry {
    const compared = Math.min(agents.length, COMPARED_MAX);
    let best: { route: RouteEntry; count: number; tie: number } | undefined;
    for (let i = 0; i < compared; i++) {
      const route = agents[(seed + i) % agents.length]!;
      if (route === own) continue;
      const count = sent?.byAgent.get(route.agent) ?? 0;
      if (best !== undefined && count > best.count) continue;
      const tie = mix(seed, hashOf(route.agent));
      if (best === undefined || count < best.count || tie > best.tie) best = { route, count, tie };
    }
    return best!.route;
  }

  #whyNone(org: string, capability: string, able: Able, own: RouteEntry | undefined): string {
    const why = { offline: 0, draining: 0 };
    let count = able.withheld;
    for (const [id, agents] of able.nodes) {
      const others = own?.node === id ? agents.length - 1 : agents.length;
      const node = this.#table.node(org, id);
      count += others;
      if (node === undefined || !node.online) why.offline += others;
      else if (node.draining) why.draining += others;
    }
    if (count === 0) return `nobody but the sender can "${capability}"`;
    const parts = [
      why.offline > 0 ? `${why.offline} on nodes that are offline` : '',
      why.draining > 0 ? `${why.draining} on nodes that are draining` : '',
      able.withheld > 0 ? `${able.withheld} suspended or moving` : '',
    ].filter((part) => part !== '');
    return `${count} can "${capability}", but none is live: ${parts.join(', ')}`;
  }
}

function sentTo({ sent }: NodeEntry, nowUs: number): Sent | undefined {
  return sent !== undefined && nowUs - sent.sinceUs < COUNTS_US ? sent : undefined;
}
