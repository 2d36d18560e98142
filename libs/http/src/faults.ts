/** What goes wrong before a handler is reached, as errors with reasons and the status that HTTP has for each. */

import { type ErrorExtras, type ErrorKind, FleetwireError } from '@fleetwire/kernel';
import { HTTP_DEFAULTS } from './limits.ts';

/** An error of the transport: its status says more than its kind's would. */
export class HttpFault extends FleetwireError {
  readonly status: number;

  constructor(status: number, kind: ErrorKind, reason: string, message: string, extras: ErrorExtras = {}) {
    super(kind, reason, message, extras);
    this.status = status;
  }
}

export const routeUnknown = () =>
  new HttpFault(404, 'not_found', 'ROUTE_UNKNOWN', 'there is nothing at this address', {
    help: 'Check the link: it may have been cut off.',
  });

export const methodNotAllowed = (allowed: string) =>
  new HttpFault(405, 'unimplemented', 'METHOD_NOT_ALLOWED', `this address answers to ${allowed}`, {
    details: { allowed },
  });

export const bodyTooLarge = () =>
  new HttpFault(413, 'invalid_argument', 'BODY_TOO_LARGE', 'the body of the request is too large');

export const bodyInvalid = (why: string) =>
  new HttpFault(400, 'invalid_argument', 'BODY_INVALID', `the body of the request is ${why}`);

export const mediaTypeUnsupported = (expected: string) =>
  new HttpFault(415, 'invalid_argument', 'MEDIA_TYPE_UNSUPPORTED', `this address takes ${expected}`, {
    help: `Send the body as ${expected}, not compressed.`,
    details: { expected },
  });

export const requestMalformed = () =>
  new HttpFault(400, 'invalid_argument', 'REQUEST_MALFORMED', 'this is not a request that HTTP knows');

export const headersTooLarge = () =>
  new HttpFault(431, 'invalid_argument', 'HEADERS_TOO_LARGE', 'the header of the request is too large');

export const requestTimeout = () =>
  new HttpFault(408, 'deadline_exceeded', 'REQUEST_TIMEOUT', 'the request did not arrive in time');

export const handlerTimeout = () =>
  new HttpFault(504, 'deadline_exceeded', 'DEADLINE_EXCEEDED', 'the answer took too long', {
    help: 'Try again; what was asked for may have been done.',
  });

export const stopping = () =>
  new HttpFault(503, 'unavailable', 'SHUTTING_DOWN', 'this server is ending', {
    help: 'Try again in a moment.',
    retryAfterMs: HTTP_DEFAULTS.stoppingRetryMs,
  });

/** What the framework threw, as ours; undefined when it is not of the framework. */
export function fromFramework(thrown: unknown, arrived: boolean): FleetwireError | undefined {
  if (thrown instanceof FleetwireError) return thrown;
  const { code, statusCode } = thrown as { readonly code?: unknown; readonly statusCode?: unknown };
  switch (code) {
    case 'FST_ERR_HANDLER_TIMEOUT':
      return arrived ? handlerTimeout() : requestTimeout();
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge();
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return mediaTypeUnsupported('another type of content');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return bodyInvalid('not as long as it was said to be');
    // Paths that cannot be decoded or whose parts are too long lead nowhere; their text stays here, as it may be a secret.
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
    case 'FST_ERR_NOT_FOUND':
      return routeUnknown();
    // The client left while it sent.
    case 'ECONNRESET':
      return requestMalformed();
    default:
      return typeof code === 'string' && code.startsWith('FST_') && statusCode === 400
        ? requestMalformed()
        : undefined;
  }
}

/** What Node says of a connection on which no request could be read; undefined: there is nobody to tell. */
export function fromConnection(code: string | undefined): FleetwireError | undefined {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return requestTimeout();
  if (code === 'HPE_HEADER_OVERFLOW') return headersTooLarge();
  return code?.startsWith('HPE_') ? requestMalformed() : undefined;
}
