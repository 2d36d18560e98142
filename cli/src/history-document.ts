/** A message of history as a JSON document with stable fields. */

import { isUtf8 } from 'node:buffer';
import type { Message } from '@fleetwire/gen/delivery';
import { stageName } from './trace-document.ts';

export function historyDocument(message: Message): object {
  return {
    id: message.id,
    from: message.fromName,
    from_agent: message.fromAgent,
    to: message.to,
    correlation_id: message.correlationId,
    reply_to: message.replyTo,
    accepted_at: new Date(message.acceptedAtUs / 1000).toISOString(),
    content_type: message.contentType,
    ...bodyOf(message),
    ...(message.fanOut === 0 ? {} : { recipients: message.fanOut }),
    settlements: message.settlements.map((s) => ({
      recipient: s.recipient,
      recipient_name: s.recipientName,
      stage: stageName(s.stage),
      final: s.final,
      reason: s.reason,
      at: new Date(s.updatedAtUs / 1000).toISOString(),
    })),
  };
}

/** What is no text is given in base64; what is not kept, with why. */
function bodyOf({ body, bodyBytes, bodyMissing }: Message): object {
  if (bodyMissing !== '')
    return { body: null, body_bytes: bodyBytes, body_missing: bodyMissing.toLowerCase() };
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return isUtf8(buffer)
    ? { body: buffer.toString('utf8'), body_bytes: bodyBytes }
    : { body_base64: buffer.toString('base64'), body_bytes: bodyBytes };
}
