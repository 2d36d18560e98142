/** From an address to a route, or to the reason why there is none; never throws, whatever the address. */

import { LIMITS } from '@fleetwire/contract';
import { type AgentAddress, foldName, isToMany, parseAddress, printable } from '@fleetwire/kernel';
import type { Asking } from './anycast.ts';
import { type FanOut, fanOut, type Sender } from './fan-out.ts';
import { type Refusal, refusal } from './refusal.ts';
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
  | FanOut
  | Refusal;

/** Asks without a message. */
export const NOBODY: Asking & Sender = { id: '', fromAgent: '', fromNode: '', localServed: false };

export interface Names {
  readonly table: RoutingTable;
  /** A fresh answer of the registry about a name that the table lacks. */
  known(org: string, folded: string): KnownName | undefined;
}

/**
 * Where mail of `org` for the address `to` goes. Another org's agents are as unknown as those that do not exist. Only an
 * address that asks for a capability, or means many, goes by `asking` and `nowUs`.
 */
export function resolve(
  names: Names,
  org: string,
  to: string,
  asking: Asking & Sender = NOBODY,
  nowUs = 0,
): Resolution {
  // Most addresses are a name in its folded form, which needs no parsing.
  const direct = names.table.find(org, to);
  if (direct !== undefined) return reachable(direct);
  if (to.length > LIMITS.addressChars) return refusal('INVALID_ADDRESS', 'the address is too long');
  const address = read(to);
  if (address === undefined) return refusal('INVALID_ADDRESS', `"${printable(to)}" is not an address`);
  if (address.kind === 'capability') return pick(names, org, address.capability, asking, nowUs);
  if (isToMany(address)) return fanOut(names.table, org, address, asking);
  const folded = foldName(address.name);
  const inTable = names.table.find(org, folded);
  const known = inTable === undefined ? names.known(org, folded) : undefined;
  const route = inTable ?? known?.route;
  if (route !== undefined) return isMeant(address, route) ? reachable(route) : unknownAgent(address);
  return known === undefined ? { kind: 'ask', folded } : unknownAgent(address);
}

function isMeant({ node, project }: AgentAddress, route: RouteEntry): boolean {
  if (project !== undefined && project !== route.project) return false;
  return node === undefined || foldName(node) === foldName(route.nodeName);
}

function pick(names: Names, org: string, capability: string, asking: Asking, nowUs: number): Resolution {
  const { anycast } = names.table;
  const { may: _, ...anybody } = asking;
  const allowed = anycast.pick(org, capability, asking, nowUs);
  // Where only such are left as its sender may not message, one of them shows why.
  const denied = asking.may !== undefined && allowed.kind === 'none';
  const choice = denied ? anycast.pick(org, capability, anybody, nowUs) : allowed;
  if (choice.kind === 'none') return refusal('NO_CAPABLE_AGENT', choice.detail);
  return { kind: 'route', route: choice.route, picked: choice.detail };
}

/** An agent that is known, unless it is suspended. */
export function reachable(route: RouteEntry): Resolution {
  if (!route.suspended) return { kind: 'route', route };
  return { ...refusal('AGENT_SUSPENDED', `"${route.name}" is suspended with its workspace`), route };
}

function unknownAgent({ name, node, project }: AgentAddress): Refusal {
  const where = node === undefined ? 'in your org' : `on node "${node}"`;
  const what = project === undefined ? '' : ` that works on "${project}"`;
  return refusal('UNKNOWN_AGENT', `no agent "${name}"${what} ${where}`);
}

function read(to: string) {
  try {
    return parseAddress(to);
  } catch {
    return undefined;
  }
}
