/** How much may wait for an agent on its node. */

import type { QueueSettings } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';

export interface QueueOptions {
  /** At most 100,000; left out or 0: as the node is configured. */
  readonly messages?: number | undefined;
  /** Of encoded messages, at most 1 GiB; left out or 0: as the node is configured. */
  readonly bytes?: number | undefined;
  /**
   * What becomes of what does not fit. `newest`: what comes goes back to its sender, QUEUE_FULL. `oldest`: the oldest that waits
   * becomes a dead letter, QUEUE_OVERFLOW. Left out: as the node is configured.
   */
  readonly drop?: 'newest' | 'oldest' | undefined;
}

/** The node checks it; here only what could not be sent. Throws `invalid_argument` INVALID_QUEUE. */
export function queueOf(queue: QueueOptions | undefined): QueueSettings | undefined {
  if (queue === undefined) return undefined;
  const { messages = 0, bytes = 0, drop = '' } = queue;
  for (const [field, value] of Object.entries({ messages, bytes }))
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff)
      throw new FleetwireError(
        'invalid_argument',
        'INVALID_QUEUE',
        `queue ${field}: ${value} is no number of them`,
        {
          help: 'Use a whole number, or leave it out.',
          details: { field },
        },
      );
  return { messages, bytes, drop };
}
