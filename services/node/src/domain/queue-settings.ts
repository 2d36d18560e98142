/** How much may wait for one agent, as its owner has asked for it, and what that comes to on this node. */

import { LIMITS } from '@fleetwire/contract';
import type { QueueSettings } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import type { DropPolicy, QueueBounds } from './queue.ts';

/** Bytes that a queue must be allowed to have, so that it takes a short message besides a first one. */
const BYTES_MIN = 1024;
const POLICIES: readonly string[] = ['newest', 'oldest'] satisfies DropPolicy[];

/** Gives the settings as they are kept. Throws INVALID_QUEUE for what no node would take. */
export function checkQueue({ messages, bytes, drop }: QueueSettings): QueueSettings {
  const { queueMessages, queueBytes } = LIMITS;
  if (messages > queueMessages) throw invalid('messages', `${messages} is more than ${queueMessages}`);
  if (bytes > queueBytes) throw invalid('bytes', `${bytes} is more than ${queueBytes}`);
  if (bytes !== 0 && bytes < BYTES_MIN) throw invalid('bytes', `${bytes} is less than ${BYTES_MIN}`);
  if (drop !== '' && !POLICIES.includes(drop)) throw invalid('drop', `there is no "${drop}"`);
  return { messages, bytes, drop };
}

/** What is in force; `configured` of the node stands in for what is not set. */
export function boundsOf(settings: QueueSettings | undefined, configured: QueueBounds): QueueBounds {
  if (settings === undefined) return configured;
  return {
    messages: settings.messages || configured.messages,
    bytes: settings.bytes || configured.bytes,
    drop: settings.drop === '' ? configured.drop : (settings.drop as DropPolicy),
  };
}

function invalid(field: string, fault: string): FleetwireError {
  const { queueMessages, queueBytes } = LIMITS;
  const allowed = `Up to ${queueMessages} messages, ${BYTES_MIN} to ${queueBytes} bytes, newest or oldest`;
  return new FleetwireError('invalid_argument', 'INVALID_QUEUE', `queue ${field}: ${fault}`, {
    help: `${allowed}; 0 or nothing: as the node is configured.`,
    details: { field },
  });
}
