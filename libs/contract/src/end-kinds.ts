/** What kind of error the end of a message without delivery is: for exit codes, and for who waits for an answer. */

import type { ErrorKind } from '@fleetwire/kernel';

const KINDS: Readonly<Record<string, ErrorKind>> = {
  UNKNOWN_AGENT: 'not_found',
  UNKNOWN_CHANNEL: 'not_found',
  UNKNOWN_GROUP: 'not_found',
  UNKNOWN_NODE: 'not_found',
  UNKNOWN_PROJECT: 'not_found',
  NO_RECIPIENTS: 'not_found',
  NO_CAPABLE_AGENT: 'not_found',
  AGENT_REMOVED: 'not_found',
  INVALID_ADDRESS: 'invalid_argument',
  MESSAGE_DENIED: 'permission_denied',
  TTL_EXPIRED: 'deadline_exceeded',
  CANCELLED: 'cancelled',
  RATE_LIMITED: 'resource_exhausted',
  INBOX_FULL: 'resource_exhausted',
  QUEUE_FULL: 'resource_exhausted',
};

/** By its reason; any that is not known is a failed precondition. */
export const kindOfReason = (reason: string): ErrorKind => KINDS[reason] ?? 'failed_precondition';
