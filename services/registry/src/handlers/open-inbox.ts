/** OpenInbox: makes the consumer of a node anew, so that all that was not acknowledged comes again, in order. */

import { nodeConsumer } from '@fleetwire/contract';
import type { OpenInboxResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { requireNode } from '../domain/callers.ts';
import { nodeUnknown } from '../domain/errors.ts';
import { requireOpen } from '../domain/orgs.ts';
import type { RegistryParts } from './parts.ts';

/** One at a time for each node: two at once would delete each other's. */
const underway = new WeakMap<RegistryParts, Map<string, Promise<unknown>>>();

export async function openInbox(parts: RegistryParts, caller: Caller): Promise<OpenInboxResponse> {
  const { node: id, org } = requireNode(caller);
  requireOpen(parts.orgs, org);
  const node = await parts.nodes.byId(id);
  if (node === null || node.org !== org) throw nodeUnknown();
  const spec = nodeConsumer(node.shard, node.org, node.id);
  await oneAtATime(parts, id, () => parts.consumers.recreate(spec));
  return { stream: spec.stream, consumer: spec.durable_name };
}

async function oneAtATime(parts: RegistryParts, node: string, work: () => Promise<void>): Promise<void> {
  const chains = underway.get(parts) ?? new Map<string, Promise<unknown>>();
  underway.set(parts, chains);
  const mine = (chains.get(node) ?? Promise.resolve()).catch(() => undefined).then(work);
  chains.set(node, mine);
  try {
    await mine;
  } finally {
    if (chains.get(node) === mine) chains.delete(node);
  }
}
