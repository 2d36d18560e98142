/** How answers leave: security headers on every one, and errors as JSON. */

import { STATUS_CODES } from 'node:http';
import { ERROR_TABLE } from '@fleetwire/contract';
import { toldError } from '@fleetwire/kernel';
import { HttpFault } from './faults.ts';
import type { HttpAnswer, HttpRefusal } from './types.ts';

const CONTENT_TYPES = {
  html: 'text/html; charset=utf-8',
  json: 'application/json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
} as const;

/** An answer as it goes out. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Nothing is loaded from anywhere, framed, sniffed, stored, or told where the client came from. */
export function rawAnswer(answer: HttpAnswer): RawAnswer {
  const style = answer.type === 'html' && answer.styleHash ? `style-src '${answer.styleHash}'; ` : '';
  return {
    status: answer.status,
    headers: {
      'content-type': CONTENT_TYPES[answer.type],
      'content-security-policy': `default-src 'none'; ${style}form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
      ...answer.headers,
    },
    body: answer.type === 'json' ? JSON.stringify(answer.body) : answer.body,
  };
}

/** What the client is told; the text of an unexpected error stays here, in the log. */
export function refusalOf(thrown: unknown): HttpRefusal {
  const told = toldError(thrown);
  return { status: thrown instanceof HttpFault ? thrown.status : ERROR_TABLE[told.kind].http, ...told };
}

export function errorAnswer(refusal: HttpRefusal): HttpAnswer {
  const { kind, reason, message, help, details, violations, retryAfterMs } = refusal;
  const error = { kind, reason, message, help, details, violations, retry_after_ms: retryAfterMs };
  return { status: refusal.status, headers: errorHeaders(refusal), type: 'json', body: { error } };
}

export function errorHeaders(refusal: HttpRefusal): Record<string, string> {
  const headers: Record<string, string> = {};
  if (refusal.retryAfterMs !== undefined)
    headers['retry-after'] = String(Math.max(1, Math.ceil(refusal.retryAfterMs / 1000)));
  if (refusal.status === 401) headers['www-authenticate'] = 'Bearer';
  if (refusal.reason === 'METHOD_NOT_ALLOWED') headers['allow'] = refusal.details['allowed'] ?? '';
  return headers;
}

/** For a connection on which there is no request to reply to. */
export function rawText(thrown: unknown): string {
  const { status, headers, body } = rawAnswer(errorAnswer(refusalOf(thrown)));
  const lines = Object.entries({
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...lines, '', body].join('\r\n');
}
