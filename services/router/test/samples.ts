/** Envelopes, packs, routes and a flow that stands on nothing but memory, for the tests of the domain. */

import { ingressSubject } from '@fleetwire/contract';
import { Envelope, IngressPack, NodeRoute, Route } from '@fleetwire/gen/message';
import type { IngressMessage } from '../src/domain/partition-flow.ts';
import { PartitionFlow } from '../src/domain/partition-flow.ts';
import type { KnownName } from '../src/domain/resolve.ts';
import type { RouteEntry } from '../src/domain/routing-table.ts';
import { RoutingTable, routeEntry } from '../src/domain/routing-table.ts';
import { Suggestions } from '../src/domain/suggestions.ts';

export const ORG = 'o_0123456789abcdef';
export const NODE = 'n_0123456789abcdef';
export const NOW_US = 1_790_000_000_000_000;

/** A lowercase ULID that ends in the number. */
export function idOf(n: number): string {
  return `01h${String(n).padStart(23, '0')}`;
}

export function envelope(over: Partial<Envelope> = {}): Envelope {
  return Envelope.fromPartial({
    id: idOf(1),
    org: ORG,
    fromAgent: 'a_sender0000000000',
    fromName: 'sender',
    fromNode: NODE,
    to: 'alice',
    correlationId: idOf(1),
    acceptedAtUs: NOW_US,
    ttlMs: 300_000,
    body: new TextEncoder().encode('hello'),
    ...over,
  });
}

export function packOf(envelopes: readonly Partial<Envelope>[]): Uint8Array {
  const encoded = envelopes.map((over) => Envelope.encode(envelope(over)).finish());
  return IngressPack.encode({ envelopes: encoded }).finish();
}

export function message(
  sequence: number,
  data: Uint8Array,
  over: Partial<IngressMessage> = {},
): IngressMessage {
  const subject = ingressSubject.build({ partition: 0, org: ORG, node: NODE });
  return { subject, data, sequence, storedAtUs: NOW_US, ...over };
}

export function route(name: string, over: Partial<Route> = {}): RouteEntry {
  const agent = `a_${name.toLowerCase()}`;
  const node = 'n_laptop';
  const full = Route.fromPartial({ agent, name, node, nodeName: 'laptop', epoch: 1, shard: 0, ...over });
  return routeEntry(ORG, full)!;
}

export function tableOf(...names: string[]): RoutingTable {
  const table = new RoutingTable();
  for (const name of names) table.put(route(name));
  return table;
}

export function nodeRoute(node: string, over: Partial<NodeRoute> = {}): NodeRoute {
  return NodeRoute.fromPartial({ node, name: node.slice(2), epoch: 1, online: true, ...over });
}

export function suggestionsOf(table: RoutingTable): Suggestions {
  return new Suggestions(table, { scan: 1000, perSecond: 1000 });
}

export function flowOf(
  table: RoutingTable,
  known: (org: string, folded: string) => KnownName | undefined = () => undefined,
): PartitionFlow {
  return new PartitionFlow({
    partition: 0,
    router: 'router-test',
    names: { table, known },
    suggest: suggestionsOf(table),
  });
}
