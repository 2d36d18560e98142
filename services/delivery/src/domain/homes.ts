/** Where agents live, and lived until a moment ago, as the routing table says: whose word about their mail counts at once. */

import { Deque } from '@fleetwire/kernel';

/** Where an agent has lived until then, broker time. */
export interface FormerHome {
  readonly node: string;
  readonly leftAtUs: number;
}

interface Place {
  /** Empty: the agent is gone. */
  readonly node: string;
  /** Where its mail is on the way from; or empty. */
  readonly movingFrom: string;
  readonly former: readonly FormerHome[];
}

/** Mail that was accepted this long after an agent left may still have come to its old node: routers learn of it by and by. */
export const STRAY_US = 60_000_000;
const NEVER: readonly FormerHome[] = [];

/**
 * Agents that live somewhere are as many as the routing table has. Of what was, at most `formerMax` agents are remembered,
 * the oldest go first: the registry knows the rest, and for longer.
 */
export class Homes {
  readonly #formerMax: number;
  /** By org, then by agent. */
  readonly #orgs = new Map<string, Map<string, Place>>();
  /** Shared by all agents that live there and nowhere else: a table of 100,000 agents keeps one for each node. */
  readonly #plain = new Map<string, Place>();
  readonly #nodes = new Set<string>();
  readonly #left = new Deque<{ readonly org: string; readonly agent: string }>();

  constructor(formerMax: number) {
    this.#formerMax = formerMax;
  }

  /** `saidAtUs`: when the broker stored what `node` says. A map look-up: of use for each receipt. */
  isHome(org: string, agent: string, node: string, saidAtUs: number): boolean {
    const place = this.#orgs.get(org)?.get(agent);
    if (place === undefined) return false;
    if (place.node === node || (place.movingFrom === node && node !== '')) return true;
    return place.former.some((one) => one.node === node && saidAtUs <= one.leftAtUs + STRAY_US);
  }

  /** Is it one of the nodes of the fabric, online or not? */
  hasNode(node: string): boolean {
    return this.#nodes.has(node);
  }

  nodeIs(node: string, there: boolean): void {
    if (there) this.#nodes.add(node);
    else this.#nodes.delete(node);
  }

  /** The agent lives on `node` since `atUs`. */
  lives(org: string, agent: string, node: string, movingFrom: string, atUs: number): void {
    const before = this.#orgs.get(org)?.get(agent);
    const former = formerOf(before, node, atUs);
    if (movingFrom === '' && former.length === 0) this.#agents(org).set(agent, this.#plainOn(node));
    else this.#put(org, agent, { node, movingFrom, former });
  }

  gone(org: string, agent: string, atUs: number): void {
    const before = this.#orgs.get(org)?.get(agent);
    if (before !== undefined)
      this.#put(org, agent, { node: '', movingFrom: '', former: formerOf(before, '', atUs) });
  }

  #put(org: string, agent: string, place: Place): void {
    this.#agents(org).set(agent, place);
    this.#left.push({ org, agent });
    while (this.#left.length > this.#formerMax) this.#forget(this.#left.shift()!);
  }

  #agents(org: string): Map<string, Place> {
    const known = this.#orgs.get(org);
    if (known !== undefined) return known;
    const agents = new Map<string, Place>();
    this.#orgs.set(org, agents);
    return agents;
  }

  #plainOn(node: string): Place {
    const known = this.#plain.get(node);
    if (known !== undefined) return known;
    const place = { node, movingFrom: '', former: NEVER };
    this.#plain.set(node, place);
    return place;
  }

  /** What was, is forgotten; where the agent lives is not. */
  #forget({ org, agent }: { readonly org: string; readonly agent: string }): void {
    const agents = this.#orgs.get(org);
    const place = agents?.get(agent);
    if (agents === undefined || place === undefined) return;
    if (place.node === '') agents.delete(agent);
    else if (place.movingFrom === '') agents.set(agent, this.#plainOn(place.node));
    if (agents.size === 0) this.#orgs.delete(org);
  }
}

/** The last two: more moves within a minute are the registry's to know. */
function formerOf(before: Place | undefined, now: string, atUs: number): readonly FormerHome[] {
  if (before === undefined) return NEVER;
  const left = [before.node, before.movingFrom].filter((node) => node !== '' && node !== now);
  if (left.length === 0) return before.former;
  return [...left.map((node) => ({ node, leftAtUs: atUs })), ...before.former].slice(0, 2);
}
