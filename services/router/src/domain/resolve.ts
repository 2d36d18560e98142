/** From an address to a route, or to the reason why there is none; never throws, whatever the address. */

import { LIMITS } from '@fleetwire/contract';
import { foldName, nearestNames, parseAddress, printable } from '@fleetwire/kernel';
import type { RouteEntry, RoutingTable } from './routing-table.ts';

/** What may be known about a name beside the table: an answer of the registry, while it is fresh. */
export interface KnownName {
  /** Undefined: the registry does not know it either. */
  readonly route: RouteEntry | undefined;
}

export type Resolution =
  | { readonly kind: 'route'; readonly route: RouteEntry }
  /** Nothing is known of this name here: the registry may know more. */
  | { readonly kind: 'ask'; readonly folded: string }
  | { readonly kind: 'dead'; readonly reason: string; readonly detail: string };

export interface Names {
  readonly table: RoutingTable;
  /** A fresh answer of the registry about a name that the table lacks. */
  known(org: string, folded: string): KnownName | undefined;
}

/** Where mail of `org` for the address `to` goes. Another org's agents are as unknown as those that do not exist. */
export function resolve(names: Names, org: string, to: string): Resolution {
  // Most addresses are a name in its folded form, which needs no parsing.
  const direct = names.table.find(org, to);
  if (direct !== undefined) return { kind: 'route', route: direct };
  if (to.length > LIMITS.addressChars) return dead('INVALID_ADDRESS', 'the address is too long');
  const address = read(to);
  if (address === undefined) return dead('INVALID_ADDRESS', `"${printable(to)}" is not an address`);
  const folded = foldName(address.name);
  const inTable = names.table.find(org, folded);
  const known = inTable === undefined ? names.known(org, folded) : undefined;
  const route = inTable ?? known?.route;
  if (route === undefined) {
    return known === undefined ? { kind: 'ask', folded } : unknownAgent(address.name, undefined);
  }
  if (address.node === undefined || foldName(address.node) === foldName(route.nodeName)) {
    return { kind: 'route', route };
  }
  return unknownAgent(address.name, address.node);
}

/** The name part of an address in its folded form; undefined when it is no address. */
export function foldedNameOf(to: string): string | undefined {
  const address = to.length > LIMITS.addressChars ? undefined : read(to);
  return address === undefined ? undefined : foldName(address.name);
}

/** Up to three names like the one in `to`, or where it lives when only the node was wrong; looks at `scan` names. */
export function suggestions(table: RoutingTable, org: string, to: string, scan: number): string[] {
  const folded = foldedNameOf(to);
  if (folded === undefined) return [];
  const elsewhere = table.find(org, folded);
  if (elsewhere !== undefined) return [`${elsewhere.name}@${elsewhere.nodeName}`];
  return nearestNames(folded, table.names(org, scan));
}

function unknownAgent(name: string, node: string | undefined): Resolution {
  const where = node === undefined ? 'in your org' : `on node "${node}"`;
  return dead('UNKNOWN_AGENT', `no agent "${name}" ${where}`);
}

function dead(reason: string, detail: string): Resolution {
  return { kind: 'dead', reason, detail };
}

function read(to: string) {
  try {
    return parseAddress(to);
  } catch {
    return undefined;
  }
}
