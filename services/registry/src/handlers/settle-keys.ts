/** Shutting single nodes out of the broker: the servers refuse their keys, and what is kept for removed ones goes. */

import type { Broker } from '@fleetwire/broker';
import { nodeConsumer } from '@fleetwire/contract';
import type { Revocations } from '@fleetwire/identity';
import { type Clock, nowMs } from '@fleetwire/kernel';
import type { NodeKeys, Untold } from '../store/node-keys.ts';

export interface SettleParts {
  readonly keys: Pick<NodeKeys, 'untold' | 'told' | 'orgs' | 'revocations'>;
  readonly consumers: Pick<Broker['consumers'], 'remove'>;
  /** False: there is no way to tell the servers. Can be repeated. */
  readonly revoke: (org: string, keys: Revocations) => Promise<boolean>;
  /** Keys of one org. */
  readonly max: number;
  readonly clock: Clock;
}

const PAGE = 500;
/**
 * Whoever asked the servers before a revocation and answers after it takes it away. So it is looked for again as long as such an
 * answer may be under way.
 */
const SEEN_AFTER_MS = 5_000;
const UNTELLABLE_MS = 300_000;

/**
 * Completes what was begun when keys were noted: of one org, or of all. The mail of a removed node stays in the stream when
 * its consumer goes. Rejects when the servers cannot be told now; then it is due again. False: there is no way to tell them.
 */
export async function settleKeys(parts: SettleParts, org?: string): Promise<boolean> {
  const untold = await parts.keys.untold(PAGE, org);
  let all = true;
  for (const each of untold) all = (await settle(parts, each)) && all;
  return all;
}

/** `settle` at every call, but seldom while there is no way to tell the servers: only a changed setup helps. */
export function settlingSeldom(
  settle: () => Promise<boolean>,
  clock: Pick<Clock, 'monotonicMs'>,
): () => Promise<void> {
  let dueMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (clock.monotonicMs() < dueMs) return;
    if (!(await settle())) dueMs = clock.monotonicMs() + UNTELLABLE_MS;
  };
}

async function settle(parts: SettleParts, { org, keys }: Untold): Promise<boolean> {
  const told = await parts.revoke(
    org,
    Object.fromEntries(keys.map(({ publicKey, untilS }) => [publicKey, untilS])),
  );
  for (const { node, shard, reason } of keys) {
    if (reason !== 'removed') continue;
    const { stream, durable_name } = nodeConsumer(shard, org, node);
    await parts.consumers.remove(stream, durable_name);
  }
  if (told) await parts.keys.told(keys, nowMs(parts.clock) - SEEN_AFTER_MS);
  return told;
}

/** Tells the servers of every key again: they may have come back with an older memory. */
export async function tellAllKeys(parts: SettleParts, over: AbortSignal): Promise<void> {
  for (let after = ''; !over.aborted; ) {
    const orgs = await parts.keys.orgs(after, PAGE);
    for (const org of orgs) {
      if (over.aborted) return;
      if (!(await parts.revoke(org, await parts.keys.revocations(org, parts.max)))) return;
    }
    if (orgs.length < PAGE) return;
    after = orgs.at(-1)!;
  }
}
