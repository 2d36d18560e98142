/** From an address to a route, or to the reason why there is none; never throws, whatever the address. */

import { LIMITS } from '@fleetwire/contract';
import { foldName, nearestNames, parseAddress, printable } from '@fleetwire/kernel';
import type { Asking } from './anycast.ts';
import type { RouteEntry, RoutingTable } from './routing-table.ts';

/** What may be known about a name beside the table: an answer of the registry, while it is fresh. */
export interface KnownName {
  /** Undefined: the registry does not know it either. */
  readonly route: RouteEntry | undefined;
}

export type Resolution =
  | {
      readonly kind: 'route';
      readonly route: RouteEntry;
      /** Why this one, where it was picked among others by what it can do. */
      readonly picked?: string;
    }
  /** Nothing is known of this name here: the registry may know more. */
  | { readonly kind: 'ask'; readonly folded: string }
  | {
      readonly kind: 'dead';
      readonly reason: string;
      readonly detail: string;
      /** The agent that was meant, where there is one. */
      readonly route?: RouteEntry;
    };

/** Asks without a message. */
const NOBODY: Asking = { id: '', fromAgent: '' };

export interface Names {
  readonly table: RoutingTable;
  /** A fresh answer of the registry about a name that the table lacks. */
  known(org: string, folded: string): KnownName | undefined;
}

/**
 * Where mail of `org` for the address `to` goes. Another org's agents are as unknown as those that do not exist. Only an
 * address that asks for a capability goes by `asking` and `nowUs`.
 */
export function resolve(
  names: Names,
  org: string,
  to: string,
  asking: Asking = NOBODY,
  nowUs = 0,
): Resolution {
  // Most addresses are a name in its folded form, which needs no parsing.
  const direct = names.table.find(org, to);
  if (direct !== undefined) return reachable(direct);
  if (to.length > LIMITS.addressChars) return dead('INVALID_ADDRESS', 'the address is too long');
  const address = read(to);
  if (address === undefined) return dead('INVALID_ADDRESS', `"${printable(to)}" is not an address`);
  if (address.kind === 'capability') return pick(names, org, address.capability, asking, nowUs);
  if (address.kind !== 'agent' || address.project !== undefined)
    return dead('INVALID_ADDRESS', `"${printable(to)}" cannot be routed yet`);
  const folded = foldName(address.name);
  const inTable = names.table.find(org, folded);
  const known = inTable === undefined ? names.known(org, folded) : undefined;
  const route = inTable ?? known?.route;
  if (route === undefined) {
    return known === undefined ? { kind: 'ask', folded } : unknownAgent(address.name, undefined);
  }
  if (address.node === undefined || foldName(address.node) === foldName(route.nodeName)) {
    return reachable(route);
  }
  return unknownAgent(address.name, address.node);
}

function pick(names: Names, org: string, capability: string, asking: Asking, nowUs: number): Resolution {
  const choice = names.table.anycast.pick(org, capability, asking, nowUs);
  if (choice.kind === 'none') return dead('NO_CAPABLE_AGENT', choice.detail);
  return { kind: 'route', route: choice.route, picked: choice.detail };
}

function reachable(route: RouteEntry): Resolution {
  if (!route.suspended) return { kind: 'route', route };
  return { ...dead('AGENT_SUSPENDED', `"${route.name}" is suspended with its workspace`), route };
}

/** The name part of an address in its folded form; undefined when it has none. */
function foldedNameOf(to: string): string | undefined {
  const address = to.length > LIMITS.addressChars ? undefined : read(to);
  return address?.kind === 'agent' ? foldName(address.name) : undefined;
}

/**
 * What an unknown address may have meant. A search costs milliseconds in a large org, so that only so many names are
 * looked at, and only so many searches made in a second of `nowUs`: who writes to unknown names slows nobody down.
 */
export class Suggestions {
  readonly #table: RoutingTable;
  readonly #scan: number;
  readonly #perSecond: number;
  #second = 0;
  #made = 0;

  constructor(table: RoutingTable, o: { readonly scan: number; readonly perSecond: number }) {
    this.#table = table;
    this.#scan = o.scan;
    this.#perSecond = o.perSecond;
  }

  /** Up to three names, nearest first, or where the agent lives when only the node was wrong. */
  near(org: string, to: string, nowUs: number): string[] {
    const folded = foldedNameOf(to);
    if (folded === undefined) return [];
    const elsewhere = this.#table.find(org, folded);
    if (elsewhere !== undefined) return [`${elsewhere.name}@${elsewhere.nodeName}`];
    const second = Math.floor(nowUs / 1_000_000);
    if (second !== this.#second) this.#made = 0;
    this.#second = second;
    return this.#made++ < this.#perSecond ? nearestNames(folded, this.#table.names(org, this.#scan)) : [];
  }
}

function unknownAgent(name: string, node: string | undefined): Resolution {
  const where = node === undefined ? 'in your org' : `on node "${node}"`;
  return dead('UNKNOWN_AGENT', `no agent "${name}" ${where}`);
}

function dead(reason: string, detail: string): Extract<Resolution, { kind: 'dead' }> {
  return { kind: 'dead', reason, detail };
}

function read(to: string) {
  try {
    return parseAddress(to);
  } catch {
    return undefined;
  }
}
