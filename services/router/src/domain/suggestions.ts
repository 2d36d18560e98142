/** What an address that leads nowhere may have meant. */

import { LIMITS } from '@fleetwire/contract';
import {
  type Address,
  type AgentAddress,
  type EverybodyAddress,
  foldName,
  nearestNames,
  parseAddress,
} from '@fleetwire/kernel';
import type { NameKind, RoutingTable } from './routing-table.ts';

/** Reasons for which there may be a name that is near. */
const UNKNOWN: ReadonlySet<string> = new Set([
  'UNKNOWN_AGENT',
  'UNKNOWN_CHANNEL',
  'UNKNOWN_GROUP',
  'UNKNOWN_NODE',
  'UNKNOWN_PROJECT',
]);

/**
 * A search costs milliseconds in a large org, so that only so many names are looked at, and only so many searches made in a
 * second of `nowUs`: who writes to unknown names slows nobody down.
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

  /**
   * For an address refused with `reason`: up to three addresses, nearest first, or where the agent is when only the node or
   * the project was wrong.
   */
  near(org: string, to: string, nowUs: number, reason = 'UNKNOWN_AGENT'): string[] {
    const address = UNKNOWN.has(reason) ? read(to) : undefined;
    if (address === undefined) return [];
    switch (address.kind) {
      case 'agent':
        return this.#agents(org, address, nowUs);
      case 'channel':
        return this.#nearest(org, 'channel', address.name, nowUs, (name) => `#${name}`);
      case 'group':
        return this.#nearest(org, 'group', address.name, nowUs, (name) => `%${name}`);
      case 'everybody':
        return this.#everybody(org, address, nowUs, reason);
      case 'capability':
        return [];
    }
  }

  #everybody(org: string, { node, project }: EverybodyAddress, nowUs: number, reason: string): string[] {
    if (reason === 'UNKNOWN_NODE' && node !== undefined) {
      const before = project === undefined ? '*' : `${project}:*`;
      return this.#nearest(org, 'node', node, nowUs, (name) => `${before}@${name}`);
    }
    if (project === undefined) return [];
    const behind = node === undefined ? '' : `@${node}`;
    return this.#nearest(org, 'project', project, nowUs, (name) => `${name}:*${behind}`);
  }

  #agents(org: string, address: AgentAddress, nowUs: number): string[] {
    const there = this.#table.find(org, foldName(address.name));
    if (there === undefined) return this.#nearest(org, 'agent', address.name, nowUs, (name) => name);
    const elsewhere = address.node !== undefined && foldName(address.node) !== foldName(there.nodeName);
    const project = address.project === undefined || there.project === '' ? '' : `${there.project}:`;
    return [`${project}${there.name}${elsewhere || project === '' ? `@${there.nodeName}` : ''}`];
  }

  #nearest(org: string, kind: NameKind, name: string, nowUs: number, write: (name: string) => string) {
    const second = Math.floor(nowUs / 1_000_000);
    if (second !== this.#second) this.#made = 0;
    this.#second = second;
    if (this.#made++ >= this.#perSecond) return [];
    return nearestNames(foldName(name), this.#table.names(org, this.#scan, kind)).map(write);
  }
}

function read(to: string): Address | undefined {
  if (to.length > LIMITS.addressChars) return undefined;
  try {
    return parseAddress(to);
  } catch {
    return undefined;
  }
}
