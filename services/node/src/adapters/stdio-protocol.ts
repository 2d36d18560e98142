/** The line protocol of programs that talk by standard input and output: one JSON object a line. */

import { Buffer } from 'node:buffer';
import { asFleetwireError } from '@fleetwire/kernel';
import type { InjectedMessage, ProgramOutgoing } from './port.ts';

/** What a program may write; every other line is its log. */
export type ProgramLine =
  | { readonly type: 'ack'; readonly id: string }
  | { readonly type: 'send'; readonly ref: unknown; readonly outgoing: ProgramOutgoing }
  | { readonly type: 'invalid'; readonly ref: unknown; readonly fault: string }
  | { readonly type: 'log' };

export function messageLine(message: InjectedMessage): string {
  return line({
    type: 'message',
    id: message.id,
    from: message.fromName,
    from_agent: message.fromAgent,
    to: message.to,
    ...bodyFields(message.body),
    content_type: message.contentType,
    correlation_id: message.correlationId,
    reply_to: message.replyTo,
  });
}

export const sentLine = (ref: unknown, id: string): string => line({ type: 'sent', ref, id });

export function errorLine(ref: unknown, thrown: unknown): string {
  const { kind, reason, message, help, retryAfterMs } = asFleetwireError(thrown);
  return line({ type: 'error', ref, kind, reason, message, help, retry_after_ms: retryAfterMs });
}

const line = (value: object) => `${JSON.stringify(value)}\n`;

/** `body` when it is UTF-8, else `body_base64`. */
function bodyFields(body: Uint8Array): { body: string } | { body_base64: string } {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body) };
  } catch {
    return { body_base64: Buffer.from(body).toString('base64') };
  }
}

/** Never throws: what cannot be read as an instruction is the program's log. */
export function readProgramLine(text: string): ProgramLine {
  if (!text.startsWith('{')) return { type: 'log' };
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { type: 'log' };
  }
  if (value['type'] === 'ack' && typeof value['id'] === 'string') return { type: 'ack', id: value['id'] };
  if (value['type'] === 'send') return readSend(value);
  return { type: 'log' };
}

const TEXTS = {
  id: 'id',
  content_type: 'contentType',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
} as const;

function readSend(value: Record<string, unknown>): ProgramLine {
  const { ref, to, body, body_base64, ttl_ms } = value;
  const invalid = (fault: string): ProgramLine => ({ type: 'invalid', ref, fault });
  if (typeof to !== 'string') return invalid('"to" must be a text');
  const bytes = typeof body === 'string' ? Buffer.from(body) : undefined;
  const decoded = typeof body_base64 === 'string' ? Buffer.from(body_base64, 'base64') : undefined;
  if ((bytes === undefined) === (decoded === undefined))
    return invalid('give either "body", a text, or "body_base64"');
  const outgoing: Record<string, unknown> = { to, body: new Uint8Array((bytes ?? decoded)!) };
  for (const [name, field] of Object.entries(TEXTS)) {
    if (value[name] === undefined) continue;
    if (typeof value[name] !== 'string') return invalid(`"${name}" must be a text`);
    outgoing[field] = value[name];
  }
  if (ttl_ms !== undefined) {
    if (typeof ttl_ms !== 'number' || !Number.isInteger(ttl_ms) || ttl_ms < 0)
      return invalid('"ttl_ms" must be a whole number of milliseconds');
    outgoing['ttlMs'] = ttl_ms;
  }
  return { type: 'send', ref, outgoing: outgoing as unknown as ProgramOutgoing };
}
