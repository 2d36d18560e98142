/** A message as the application gave it, checked and made ready for the node: what it cannot carry is refused at once. */

import { ANSWER_CAP_MS, LIMITS, TTL_CAP_MS, TTL_DEFAULT_MS } from '@fleetwire/contract';
import type { Outgoing } from '@fleetwire/gen/node';
import { FleetwireError, newMessageId } from '@fleetwire/kernel';
import { currentTraceparent } from '@fleetwire/telemetry';
import type { SendOptions } from './agent.ts';
import { priorityOf } from './priority.ts';

const encoder = new TextEncoder();

/** Throws `invalid_argument` INVALID_MESSAGE, INVALID_TTL or BODY_TOO_LARGE. Callers need not have checked any type. */
export function outgoingOf(
  to: string,
  body: string | Uint8Array,
  o: SendOptions,
  answerWithinMs = 0,
): Outgoing {
  return {
    ref: 0,
    id: text('id', o.id ?? newMessageId(), LIMITS.addressChars),
    to: text('to', to, LIMITS.addressChars),
    body: bytesOf(body),
    contentType: text('contentType', o.contentType ?? '', LIMITS.contentTypeChars),
    correlationId: text('correlationId', o.correlationId ?? '', LIMITS.addressChars),
    replyTo: text('replyTo', o.replyTo ?? '', LIMITS.addressChars),
    ttlMs: ttl(o.ttlMs ?? 0),
    traceparent: text('traceparent', o.traceparent ?? currentTraceparent(), LIMITS.addressChars),
    priority: priorityOf(o.priority),
    answerWithinMs,
    cancels: '',
  };
}

function bytesOf(body: unknown): Uint8Array {
  const bytes = typeof body === 'string' ? encoder.encode(body) : body;
  if (!(bytes instanceof Uint8Array))
    throw invalid('body', 'is neither a string nor bytes', 'Give a string or a Uint8Array.');
  if (bytes.length <= LIMITS.bodyBytes) return bytes;
  throw new FleetwireError(
    'invalid_argument',
    'BODY_TOO_LARGE',
    `the body has ${bytes.length} bytes; ${LIMITS.bodyBytes} are allowed`,
    { help: 'Store large content elsewhere and send its address.' },
  );
}

function text(field: string, value: unknown, limit: number): string {
  if (typeof value !== 'string') throw invalid(field, 'is not a string', `Give ${field} as a string.`);
  if (value.length <= limit) return value;
  throw invalid(field, `has more than ${limit} characters`, 'Make it shorter.');
}

function ttl(ttlMs: unknown): number {
  if (Number.isInteger(ttlMs) && (ttlMs as number) >= 0 && (ttlMs as number) <= TTL_CAP_MS)
    return ttlMs as number;
  throw new FleetwireError('invalid_argument', 'INVALID_TTL', `${String(ttlMs)} is not a time to live`, {
    help: `Use whole milliseconds up to ${TTL_CAP_MS}; 0 or none means ${TTL_DEFAULT_MS}.`,
    details: { field: 'ttlMs' },
  });
}

/** How long an answer is waited for. Throws `invalid_argument` INVALID_MESSAGE. */
export function answerTime(timeoutMs: unknown): number {
  const ms = timeoutMs as number;
  if (Number.isInteger(ms) && ms > 0 && ms <= ANSWER_CAP_MS) return ms;
  throw invalid(
    'timeoutMs',
    `is no time to wait: ${String(timeoutMs)}`,
    `Use whole milliseconds up to ${ANSWER_CAP_MS}.`,
  );
}

function invalid(field: string, fault: string, help: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_MESSAGE', `${field} ${fault}`, {
    help,
    details: { field },
  });
}
