/** What a route, its request and its answer look like. */

import type { ToldError } from '@fleetwire/kernel';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A page for people. */
export interface HttpPage {
  /** The whole document. */
  readonly html: string;
  /** Of the text of its one style element, by `styleHash`; without it the page has no style. */
  readonly styleHash?: string;
}

/** What a route takes; anything else is refused with MEDIA_TYPE_UNSUPPORTED before it is read. */
export type BodyKind = 'none' | 'form' | 'json' | 'form-or-json' | 'raw';

export interface HttpRoute {
  readonly method: HttpMethod;
  /** Such as `/invite/:secret`; this pattern is what logs and traces show, never the path itself. */
  readonly path: string;
  readonly body: BodyKind;
  /** What it throws becomes the answer: a FleetwireError by the error table, anything else a 500 without its text. */
  handle(request: HttpRequest): Promise<HttpAnswer> | HttpAnswer;
  /** The page for people that shows an error of this route; without it a plain one, and only to who prefers HTML. */
  readonly errorPage?: (refusal: HttpRefusal) => HttpPage;
}

export interface HttpRequest {
  /** The variable parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Empty unless the body is a form. */
  readonly form: URLSearchParams;
  /** Undefined unless the body is JSON; it has the shape that the client chose. */
  readonly json: unknown;
  /** The body as it came: for signatures. */
  readonly raw: Uint8Array;
  /** The value of a header, or the empty string; the name in lower case. */
  header(name: string): string;
  /** Address of the client; of a trusted proxy, the one that the proxy saw. */
  readonly peer: string;
  /** Name and port by which the client reached this server; empty when it said none or an odd one. */
  readonly host: string;
  /** Should the answer be a page? Programs, that is who sends JSON or asks for it, should get JSON. */
  readonly wantsPage: boolean;
  /** The trace to continue, or the empty string. */
  readonly traceparent: string;
  /** Aborts when the time is up or the client has gone. */
  readonly signal: AbortSignal;
}

export type HttpAnswer = {
  readonly status: number;
  /** On top of the security headers; the same name replaces one. */
  readonly headers?: Readonly<Record<string, string>>;
} & (
  | { readonly type: 'json'; readonly body: unknown }
  | { readonly type: 'text'; readonly body: string }
  | { readonly type: 'html'; readonly body: string; readonly styleHash?: string }
);

/** An error as the client may see it: nothing of an unexpected one but that it happened. */
export interface HttpRefusal extends ToldError {
  readonly status: number;
}

/** The part of a pino logger that is used here. */
export interface HttpLog {
  debug(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Begins a span named by method and pattern; `parent` is a valid traceparent or empty. */
export type HttpHop = (
  name: string,
  parent: string,
) => { readonly traceparent: string; end(error?: unknown): void };
