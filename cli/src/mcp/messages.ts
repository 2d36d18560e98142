/** Messages as tools show them: one JSON document on a line for each, so that no text can pass for another message. */

import { LIMITS } from '@fleetwire/contract';
import type { Delivery } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';

const strict = new TextDecoder('utf-8', { fatal: true });

export function messageDocument(delivery: Delivery): Record<string, unknown> {
  const { id, fromName, to, contentType, replyTo, correlationId, acceptedAtUs, answerLeftMs } = delivery;
  return {
    id,
    from: fromName,
    to,
    ...bodyOf(delivery.body),
    ...(contentType === '' ? {} : { content_type: contentType }),
    ...(replyTo === '' ? {} : { reply_to: replyTo }),
    ...(correlationId === '' || correlationId === id ? {} : { conversation: correlationId }),
    ...(answerLeftMs === 0 ? {} : { answer_within_s: Math.ceil(answerLeftMs / 1000) }),
    sent_at: new Date(acceptedAtUs / 1000).toISOString(),
  };
}

/** What is no text comes as base64. */
function bodyOf(body: Uint8Array): { text: string } | { base64: string } {
  try {
    return { text: strict.decode(body) };
  } catch {
    return { base64: Buffer.from(body).toString('base64') };
  }
}

/** As one line: controls of others, also those that JSON leaves as they are, cannot get at a terminal. */
export const lineOf = (document: object): string => JSON.stringify(document).replace(/\p{C}/gu, escaped);

const escaped = (c: string): string =>
  Array.from({ length: c.length }, (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');

/** Throws invalid_argument EMPTY_MESSAGE, BODY_TOO_LARGE. */
export function bodyFor(text: string): Buffer {
  const body = Buffer.from(text);
  if (body.length === 0)
    throw new FleetwireError('invalid_argument', 'EMPTY_MESSAGE', 'there is nothing to send', {
      help: 'Give the message as text.',
    });
  if (body.length <= LIMITS.bodyBytes) return body;
  throw new FleetwireError(
    'invalid_argument',
    'BODY_TOO_LARGE',
    `the message has ${body.length} bytes; ${LIMITS.bodyBytes} are allowed`,
    { help: 'Put it into a file that the other agent can read and send the name of that.' },
  );
}
