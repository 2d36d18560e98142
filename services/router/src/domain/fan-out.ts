/** Whom an address to many means, node by node; or why nobody. */

import { foldName, type ManyAddress, printable } from '@fleetwire/kernel';
import { refusal } from './refusal.ts';
import type { Place, RouteEntry, RoutingTable } from './routing-table.ts';

/** What of a message the recipients depend on. */
export interface Sender {
  /** Never among the recipients of its own message. */
  readonly fromAgent: string;
  readonly fromNode: string;
  /** The sending node has delivered it to its own agents. */
  readonly localServed: boolean;
}

/** Recipients on one node. */
export interface NodeShare {
  readonly place: Place;
  /** At least one. */
  readonly recipients: readonly RouteEntry[];
}

export interface FanOut {
  readonly kind: 'many';
  /** Empty when the sending node has served all of them. */
  readonly shares: readonly NodeShare[];
  /** Recipients in all shares. */
  readonly count: number;
}

/**
 * All that are meant, but for the sender, who is suspended, and who was served by the sending node. Takes time by their
 * number. Refuses UNKNOWN_CHANNEL, UNKNOWN_GROUP, UNKNOWN_NODE, UNKNOWN_PROJECT, and NO_RECIPIENTS where nobody is left.
 */
export function fanOut(table: RoutingTable, org: string, address: ManyAddress, sender: Sender) {
  const gathering = new Gathering(sender);
  const unknown =
    address.kind === 'everybody'
      ? everybody(table, org, address, gathering)
      : members(table, org, address.name, address.kind, gathering);
  return unknown ?? gathering.result();
}

class Gathering {
  readonly #sender: Sender;
  readonly #shares = new Map<Place, readonly RouteEntry[]>();
  readonly #own = new Map<Place, RouteEntry[]>();
  #count = 0;
  #served = 0;

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  add(entry: RouteEntry): void {
    const { fromAgent, fromNode, localServed } = this.#sender;
    if (entry.suspended || entry.agent === fromAgent) return;
    const { place } = entry;
    if (localServed && place.node === fromNode) {
      this.#served++;
      return;
    }
    this.#count++;
    const there = this.#own.get(place);
    if (there === undefined) {
      const first = [entry];
      this.#own.set(place, first);
      this.#shares.set(place, first);
    } else there.push(entry);
  }

  /** All of one place at once, each of them once and nobody suspended; the list itself is used where it stays whole. */
  addAll(place: Place, all: readonly RouteEntry[]): void {
    const { fromAgent, fromNode, localServed } = this.#sender;
    const some = all.some(({ agent }) => agent === fromAgent)
      ? all.filter(({ agent }) => agent !== fromAgent)
      : all;
    if (localServed && place.node === fromNode) this.#served += some.length;
    else if (some.length > 0) {
      this.#count += some.length;
      this.#shares.set(place, some);
    }
  }

  result() {
    if (this.#count + this.#served === 0)
      return refusal('NO_RECIPIENTS', 'nobody but the sender is there to get it');
    const shares = [...this.#shares].map(([place, recipients]): NodeShare => ({ place, recipients }));
    return { kind: 'many', shares, count: this.#count } satisfies FanOut;
  }
}

function everybody(
  table: RoutingTable,
  org: string,
  address: Extract<ManyAddress, { kind: 'everybody' }>,
  into: Gathering,
) {
  const node = address.node === undefined ? undefined : table.nodeByName(org, foldName(address.node));
  if (address.node !== undefined && node === undefined)
    return refusal('UNKNOWN_NODE', `no node "${printable(address.node)}" in your org`);
  if (address.project === undefined) {
    for (const place of table.places(org, node?.node)) for (const entry of place.agents) into.add(entry);
    return undefined;
  }
  const project = table.project(org, address.project);
  if (project === undefined)
    return refusal('UNKNOWN_PROJECT', `no agent of your org works on "${printable(address.project)}"`);
  for (const entry of project) if (node === undefined || entry.node === node.node) into.add(entry);
  return undefined;
}

/** A member that the table does not know yet, or no longer, is left out. */
function members(table: RoutingTable, org: string, name: string, kind: 'channel' | 'group', into: Gathering) {
  const channel = table.channel(org, name, kind);
  if (channel === undefined) {
    const reason = kind === 'channel' ? 'UNKNOWN_CHANNEL' : 'UNKNOWN_GROUP';
    return refusal(reason, `no ${kind} "${printable(name)}" in your org`);
  }
  for (const [place, recipients] of table.sharesOf(org, channel)) into.addAll(place, recipients);
  return undefined;
}

/** For people. */
export function countText({ shares, count }: FanOut): string {
  if (shares.length === 0) return 'its sender has served all of them';
  const plural = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;
  return `${plural(count, 'recipient')} on ${plural(shares.length, 'node')}`;
}
