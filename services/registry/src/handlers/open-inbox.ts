/** OpenInbox: makes the consumer of a node anew, so that all that was not acknowledged comes again, in order. */

import { nodeConsumer } from '@fleetwire/contract';
import type { OpenInboxRequest, OpenInboxResponse } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import type { RegistryParts } from './parts.ts';
import { callingNode } from './standing.ts';

/** One at a time for each node: two at once would delete each other's. */
const underway = new WeakMap<RegistryParts, Map<string, Promise<unknown>>>();

export async function openInbox(
  parts: RegistryParts,
  _request: OpenInboxRequest,
  caller: Caller,
): Promise<OpenInboxResponse> {
  const node = await callingNode(parts, caller);
  const spec = nodeConsumer(node.shard, node.org, node.id);
  await oneAtATime(parts, node.id, () => parts.consumers.recreate(spec));
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
