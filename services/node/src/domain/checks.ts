/** What a message must be like to be accepted; each fault has its reason. */

import { ANSWER_CAP_MS, LIMITS, TTL_CAP_MS, TTL_DEFAULT_MS } from '@fleetwire/contract';
import { Priority } from '@fleetwire/gen/message';
import type { Outgoing } from '@fleetwire/gen/node';
import { type Address, FleetwireError, isMessageId, parseAddress } from '@fleetwire/kernel';

/** Visible ASCII, as a media type or a W3C traceparent consists of. */
const PLAIN = /^[\x20-\x7e]*$/;

const PRIORITIES: ReadonlySet<Priority> = new Set([
  Priority.UNSPECIFIED,
  Priority.LOW,
  Priority.NORMAL,
  Priority.HIGH,
  Priority.SYSTEM,
]);

/** Throws PRIORITY_NOT_ALLOWED for SYSTEM from anybody but who runs this node. */
export function checkPriority({ priority }: Pick<Outgoing, 'priority'>, runsTheNode: boolean): void {
  if (priority !== Priority.SYSTEM || runsTheNode) return;
  const said = 'the priority SYSTEM is for those who run the fabric';
  throw new FleetwireError('permission_denied', 'PRIORITY_NOT_ALLOWED', said, {
    help: 'Use HIGH, or the admin token in the folder of the node.',
  });
}

/** Gives the address read, or throws what is wrong with the message. */
export function checkOutgoing(message: Outgoing): Address {
  if (message.id !== '' && !isMessageId(message.id)) throw badField('id', 'is not a lowercase ULID');
  if (message.replyTo !== '' && !isMessageId(message.replyTo)) throw badField('reply_to', 'is no message id');
  if (message.body.length > LIMITS.bodyBytes) {
    throw new FleetwireError(
      'invalid_argument',
      'BODY_TOO_LARGE',
      `the body has ${message.body.length} bytes; ${LIMITS.bodyBytes} are allowed`,
      { help: 'Store large content elsewhere and send its address.' },
    );
  }
  if (message.ttlMs > TTL_CAP_MS) {
    throw new FleetwireError('invalid_argument', 'TTL_TOO_LONG', `ttl_ms is above ${TTL_CAP_MS}`, {
      help: `Use at most ${TTL_CAP_MS} ms, or none for ${TTL_DEFAULT_MS} ms.`,
    });
  }
  if (message.answerWithinMs > ANSWER_CAP_MS) {
    throw badField('answer_within_ms', `is above ${ANSWER_CAP_MS}`);
  }
  if (message.cancels !== '') checkCancel(message);
  checkText('content_type', message.contentType, LIMITS.contentTypeChars);
  checkText('correlation_id', message.correlationId, LIMITS.addressChars);
  if (message.to.length > LIMITS.addressChars) throw badField('to', 'is too long');
  if (!PRIORITIES.has(message.priority)) throw badField('priority', 'is none that this node knows');
  return parseAddress(message.to);
}

/** Milliseconds a message may wait, with the default filled in: a question no longer than its sender waits for an answer. */
export function ttlOf({ ttlMs, answerWithinMs }: Pick<Outgoing, 'ttlMs' | 'answerWithinMs'>): number {
  if (ttlMs !== 0) return ttlMs;
  return answerWithinMs === 0 ? TTL_DEFAULT_MS : Math.min(answerWithinMs, TTL_CAP_MS);
}

function checkCancel({ id, cancels, body, answerWithinMs }: Outgoing): void {
  if (!isMessageId(cancels) || cancels === id) throw badField('cancels', 'is no id of another message');
  if (body.length > 0) throw badField('body', 'of what takes another message back is empty');
  if (answerWithinMs > 0)
    throw badField('answer_within_ms', 'goes with no message that takes another one back');
}

function checkText(field: string, text: string, limit: number): void {
  if (text.length > limit) throw badField(field, `has more than ${limit} characters`);
  if (!PLAIN.test(text)) throw badField(field, 'has characters beyond printable ASCII');
}

function badField(field: string, fault: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_MESSAGE', `${field} ${fault}`, {
    details: { field },
  });
}
