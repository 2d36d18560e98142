/** How many partitions the fabric has: as many as bootstrap made consumers for. */

import { parseRouterConsumer } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';

/** Throws PARTITION_UNCONSUMED when there is none, or a gap in their numbers: mail sent there would be lost. */
export function countPartitions(consumers: readonly string[]): number {
  const found = new Set<number>();
  for (const name of consumers) {
    const router = parseRouterConsumer(name);
    if (router) found.add(router.partition);
  }
  for (let partition = 0; partition < Math.max(1, found.size); partition++) {
    if (found.has(partition)) continue;
    throw new FleetwireError(
      'failed_precondition',
      'PARTITION_UNCONSUMED',
      `partition ${partition} has no consumer`,
      { help: 'Run bootstrap against these servers once more.' },
    );
  }
  return found.size;
}
