/** What happens around every handler: body, trace, time, and errors made fit for the client. */

import { HEADERS } from '@fleetwire/contract';
import { causeChain, TRACEPARENT } from '@fleetwire/kernel';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { wantsPage } from './accept.ts';
import { errorAnswer, errorHeaders, rawAnswer, refusalOf } from './answer.ts';
import { parseBody } from './body.ts';
import { fromFramework } from './faults.ts';
import { plainErrorPage } from './page.ts';
import type { HttpAnswer, HttpHop, HttpLog, HttpRequest, HttpRoute } from './types.ts';

/** What the server does the same for all of its routes. */
export interface HttpPolicy {
  readonly log: HttpLog;
  readonly hop: HttpHop | undefined;
  readonly runWithTrace: (<T>(traceparent: string, fn: () => T) => T) | undefined;
}

/** A name or an address, with or without a port; what else a client may write there goes nowhere. */
const HOST = /^[\w.:[\]-]{1,255}$/;

const header = (request: FastifyRequest, name: string): string => {
  const value = request.headers[name];
  return (Array.isArray(value) ? value.join(', ') : value) ?? '';
};

/** Sends what the route's handler gives; what it throws comes out as it is. */
export async function enter(
  policy: HttpPolicy,
  route: HttpRoute,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parent = header(request, HEADERS.traceparent);
  const valid = TRACEPARENT.test(parent) ? parent : '';
  const span = policy.hop?.(`${route.method} ${route.path}`, valid);
  const traceparent = span?.traceparent ?? valid;
  const { runWithTrace } = policy;
  try {
    const asked = requestOf(route, request, traceparent);
    const work = () => route.handle(asked);
    const answer = await (runWithTrace ? runWithTrace(traceparent, work) : work());
    span?.end();
    return send(reply, answer);
  } catch (thrown) {
    span?.end(thrown);
    throw thrown;
  }
}

function requestOf(route: HttpRoute, request: FastifyRequest, traceparent: string): HttpRequest {
  const url = request.raw.url ?? '';
  const at = url.indexOf('?');
  const contentType = header(request, 'content-type');
  const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array();
  return {
    params: request.params as Record<string, string>,
    query: new URLSearchParams(at < 0 ? '' : url.slice(at + 1)),
    ...parseBody(route.body, contentType, bytes),
    header: (name) => header(request, name),
    peer: request.ip ?? '',
    host: HOST.test(request.host ?? '') ? request.host : '',
    wantsPage: wantsPage(header(request, 'accept'), contentType, route.errorPage !== undefined),
    traceparent,
    signal: request.signal,
  };
}

/** The outermost layer of a request: unexpected errors are logged here, once, with their causes. */
export function refuse(
  policy: HttpPolicy,
  route: HttpRoute | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
  thrown: unknown,
): void {
  const error = fromFramework(thrown, request.raw.complete) ?? thrown;
  const refusal = refusalOf(error);
  // The pattern: a path may end in a secret.
  const fields = {
    method: request.method,
    route: route?.path ?? 'none',
    reason: refusal.reason,
    traceparent: header(request, HEADERS.traceparent).slice(0, 55),
    cause: causeChain(error),
  };
  if (refusal.kind === 'internal' || refusal.kind === 'data_loss')
    policy.log.error({ ...fields, stack: (thrown as Error)?.stack }, 'a request failed unexpectedly');
  else policy.log.debug(fields, 'a request was refused');
  // Those of an answer that could not be sent.
  for (const name of Object.keys(reply.getHeaders())) if (name !== 'connection') reply.removeHeader(name);
  // What is left of the body would be taken for the next request.
  if (!request.raw.complete) reply.header('connection', 'close');
  const page = wantsPage(
    header(request, 'accept'),
    header(request, 'content-type'),
    route?.errorPage !== undefined,
  );
  if (!page) {
    send(reply, errorAnswer(refusal));
    return;
  }
  const { html, styleHash } = (route?.errorPage ?? plainErrorPage)(refusal);
  send(reply, {
    status: refusal.status,
    headers: errorHeaders(refusal),
    type: 'html',
    body: html,
    ...(styleHash === undefined ? {} : { styleHash }),
  });
}

function send(reply: FastifyReply, answer: HttpAnswer): FastifyReply {
  const { status, headers, body } = rawAnswer(answer);
  return reply.code(status).headers(headers).send(body);
}
