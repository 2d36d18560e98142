/** An HTTP server: routes as data, bounded in connections, bytes and time, and an end that lets requests finish. */

import type { Socket } from 'node:net';
import { FleetwireError, invariant } from '@fleetwire/kernel';
import { type FastifyInstance, fastify } from 'fastify';
import { rawText } from './answer.ts';
import { checkMediaType } from './body.ts';
import { enter, type HttpPolicy, refuse } from './enter.ts';
import { fromConnection, methodNotAllowed, routeUnknown, stopping } from './faults.ts';
import { HTTP_DEFAULTS } from './limits.ts';
import { listen } from './listen.ts';
import type { HttpHop, HttpLog, HttpMethod, HttpRoute } from './types.ts';

export interface HttpServerOptions {
  /** `host:port` (port 0: a free one). */
  readonly listen: string;
  readonly routes: readonly HttpRoute[];
  readonly log: HttpLog;
  /** Begins a span for each request that reaches a handler. */
  readonly hop?: HttpHop | undefined;
  readonly runWithTrace?: HttpPolicy['runWithTrace'];
  readonly bodyBytesMax: number;
  /** For the arrival of a request, and again for its answer. */
  readonly requestTimeoutMs: number;
  /** Those beyond are closed at once. */
  readonly connectionsMax: number;
  /** Addresses and networks (CIDR) of proxies whose X-Forwarded-For and -Host are believed. */
  readonly trustedProxies?: readonly string[] | undefined;
  /** What GET /healthz says; without it, that all is well. */
  readonly serving?: (() => boolean) | undefined;
}

export interface HttpServer {
  /** `host:port`, with the real port. */
  readonly address: string;
  /** Takes no new requests, lets those under way finish, and cuts them off after `graceMs`. */
  stop(graceMs: number): Promise<void>;
  /** Ends everything at once. */
  close(): Promise<void>;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** Throws `failed_precondition` LISTEN_FAILED when the address cannot be had, `invalid_argument` INVALID_CONFIG. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { log, hop, runWithTrace } = options;
  const policy: HttpPolicy = { log, hop, runWithTrace };
  const state = { stopping: false };
  const app = create(options, policy);
  app.server.maxConnections = options.connectionsMax;
  app.server.headersTimeout = Math.min(options.requestTimeoutMs, HTTP_DEFAULTS.headersMs);
  const sockets = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.addHook('onRequest', (_request, reply, done) => {
    if (state.stopping) reply.header('connection', 'close');
    done(state.stopping ? stopping() : undefined);
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (state.stopping) reply.header('connection', 'close');
    done();
  });
  app.setErrorHandler((thrown, request, reply) => refuse(policy, undefined, request, reply, thrown));
  app.setNotFoundHandler((request, reply) => refuse(policy, undefined, request, reply, routeUnknown()));
  addRoutes(app, policy, [...options.routes, healthz(options.serving)]);
  const address = await listen(app, options.listen);
  let stopped: Promise<void> | undefined;
  return {
    address,
    stop(graceMs) {
      invariant(graceMs >= 0, 'a grace time is not negative');
      state.stopping = true;
      stopped ??= shutDown(app, sockets, graceMs);
      return stopped;
    },
    async close() {
      state.stopping = true;
      stopped ??= shutDown(app, sockets, 0);
      for (const socket of sockets) socket.destroy();
      await stopped;
    },
  };
}

function create(options: HttpServerOptions, policy: HttpPolicy): FastifyInstance {
  const { requestTimeoutMs, trustedProxies = [] } = options;
  try {
    return fastify({
      logger: false,
      bodyLimit: options.bodyBytesMax,
      requestTimeout: requestTimeoutMs,
      handlerTimeout: requestTimeoutMs,
      // Of a connection on which nothing moves, such as that of a client that does not read its answer.
      connectionTimeout: 3 * requestTimeoutMs,
      keepAliveTimeout: HTTP_DEFAULTS.keepAliveMs,
      exposeHeadRoutes: false,
      return503OnClosing: false,
      trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
      routerOptions: { maxParamLength: HTTP_DEFAULTS.paramCharsMax },
      http: {
        maxHeaderSize: HTTP_DEFAULTS.headerBytesMax,
        connectionsCheckingInterval: Math.min(1_000, Math.ceil(requestTimeoutMs / 4)),
      },
      frameworkErrors: (error, request, reply) => refuse(policy, undefined, request, reply, error),
      clientErrorHandler: (error, socket) => {
        const told = fromConnection(error.code);
        if (told && socket.writable) socket.end(rawText(told));
        socket.destroySoon();
      },
    });
  } catch (cause) {
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_CONFIG',
      'the HTTP server cannot be set up like this',
      { cause },
    );
  }
}

function addRoutes(app: FastifyInstance, policy: HttpPolicy, routes: readonly HttpRoute[]): void {
  const allowed = new Map<string, Set<string>>();
  for (const route of routes) {
    const known = allowed.get(route.path) ?? new Set<string>();
    const methods: (HttpMethod | 'HEAD')[] = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method];
    for (const method of methods) known.add(method);
    allowed.set(route.path, known);
    app.route({
      method: methods,
      url: route.path,
      onRequest: (request, _reply, done) => {
        const { 'content-type': type = '', 'content-encoding': encoding = '' } = request.headers;
        checkMediaType(route.body, type, encoding);
        done();
      },
      errorHandler: (thrown, request, reply) => refuse(policy, route, request, reply, thrown),
      handler: (request, reply) => enter(policy, route, request, reply),
    });
  }
  for (const [url, known] of allowed) {
    const refused = () => {
      throw methodNotAllowed([...known].join(', '));
    };
    app.route({
      method: METHODS.filter((each) => !known.has(each)),
      url,
      onRequest: refused,
      handler: refused,
    });
  }
}

function healthz(serving: () => boolean = () => true): HttpRoute {
  return {
    method: 'GET',
    path: '/healthz',
    body: 'none',
    handle: () =>
      serving()
        ? { status: 200, type: 'json', body: { status: 'serving' } }
        : { status: 503, type: 'json', body: { status: 'not_serving' } },
  };
}

/** Idle connections close at once, also those that browsers open in advance and that the server counts as busy. */
async function shutDown(app: FastifyInstance, sockets: Set<Socket>, graceMs: number): Promise<void> {
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, graceMs);
  try {
    const closed = app.close();
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
    await closed;
  } finally {
    clearTimeout(timer);
  }
}
