/** MCP over streamable HTTP: many clients on one address, each as the agent whose token it sends. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createSecureContext } from 'node:tls';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import {
  createMcpHandler,
  isLegacyRequest,
  type McpHttpHandler,
  type McpServer,
} from '@modelcontextprotocol/server';
import type { AgentDoor, Introduced } from './agent-door.ts';
import { checkOrigin, HttpAccess, isLoopback } from './http-access.ts';
import { Exchange, exchangeIdOf, jsonBody, refuse, writeResponse } from './http-exchange.ts';
import { HttpSessions } from './http-sessions.ts';
import { MCP_LIMITS } from './limits.ts';
import type { People } from './people.ts';
import { serverFor } from './server.ts';
import { InboxBus, offerNews, watchInbox } from './watch-inbox.ts';

export interface HttpOptions {
  /** host:port; port 0: a free one. */
  readonly listen: string;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Tokens may go over a network as they are. */
  readonly plain: boolean;
  /** Names, besides addresses and localhost, by which it may be called. */
  readonly hosts: readonly string[];
  readonly introduction: (token: string) => () => Promise<Introduced>;
  readonly people: People;
  warn(error: Error): void;
}

const SWEEP_MS = 60_000;

/** Throws PLAIN_HTTP_REFUSED, TLS_FILE_UNREADABLE, LISTEN_FAILED. Gives its URL; ends when `close` is called. */
export async function serveOnHttp(options: HttpOptions): Promise<{ url: string; close(): Promise<void> }> {
  const { host, port } = addressOf(options);
  const endpoint = new Endpoint(options);
  const server = listenerFor(options, (request, response) => void endpoint.serve(request, response));
  server.listen(port, host);
  await Promise.race([
    once(server, 'listening'),
    once(server, 'error').then(([error]) => Promise.reject(error)),
  ]).catch((cause) => {
    throw listenFailed(options.listen, cause);
  });
  const sweeping = setInterval(() => void endpoint.sweep(), SWEEP_MS);
  const bound = (server.address() as { port: number }).port;
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${name}:${bound}/mcp`,
    close: async () => {
      clearInterval(sweeping);
      server.close();
      await endpoint.close();
      server.closeAllConnections();
    },
  };
}

function listenerFor(
  { tls }: HttpOptions,
  serve: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const timeouts = { requestTimeout: MCP_LIMITS.requestMs, headersTimeout: MCP_LIMITS.requestMs };
  // Of a client that went without a word nothing else would be heard: its stream would be open for ever.
  const probed = { ...timeouts, keepAlive: true, keepAliveInitialDelay: MCP_LIMITS.probeMs };
  const server =
    tls === undefined
      ? createServer(probed, serve)
      : createTlsServer({ ...probed, ...secureContext(tls) }, serve);
  server.maxConnections = MCP_LIMITS.connections;
  return server;
}

/** Throws failed_precondition TLS_FILE_UNREADABLE. */
function secureContext({ certFile, keyFile }: { certFile: string; keyFile: string }) {
  try {
    const files = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    createSecureContext(files);
    return files;
  } catch (cause) {
    const why = `cannot use ${certFile} and ${keyFile}: ${asFleetwireError(cause).message}`;
    throw new FleetwireError('failed_precondition', 'TLS_FILE_UNREADABLE', why, {
      help: 'Give a certificate chain and the private key that belongs to it, both as PEM.',
      cause,
    });
  }
}

/** What is behind the address. */
class Endpoint {
  readonly #options: HttpOptions;
  readonly #access: HttpAccess;
  readonly #sessions: HttpSessions;
  /** Requests under way, by the id that they carry. */
  readonly #exchanges = new Map<string, { readonly exchange: Exchange; readonly door: AgentDoor }>();
  /** For clients that need no session: for each agent its own, with its share of what may be listened to. */
  readonly #modern = new Map<AgentDoor, McpHttpHandler>();

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#access = new HttpAccess(options.introduction);
    this.#sessions = new HttpSessions((door) => {
      const server = this.#serverOf(door);
      watchInbox(server, door);
      return server;
    });
  }

  /** Never rejects: whatever is wrong is told to the client. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(response);
    const written = new Promise<void>((resolve) => response.once('close', resolve));
    try {
      checkOrigin(request, this.#options.hosts);
      checkTarget(request);
      const door = await this.#access.doorOf(request);
      const body = request.method === 'POST' ? await jsonBody(request) : undefined;
      this.#exchanges.set(exchange.id, { exchange, door });
      const answer = await this.#answer(door, exchange.request(request, body?.text), body?.json, written);
      await writeResponse(response, answer);
    } catch (thrown) {
      refuse(response, thrown);
    } finally {
      void written.finally(() => this.#exchanges.delete(exchange.id));
    }
  }

  async #answer(
    door: AgentDoor,
    request: Request,
    json: unknown,
    written: Promise<unknown>,
  ): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    if (id !== null) {
      const session = this.#sessions.named(id, door);
      return this.#sessions.handle(session, request, json, written);
    }
    if (json === undefined || !(await isLegacyRequest(request, json)))
      return this.#modernOf(door).fetch(request, { parsedBody: json });
    return this.#sessions.initialize(door, request, json);
  }

  #modernOf(door: AgentDoor): McpHttpHandler {
    const known = this.#modern.get(door);
    if (known !== undefined) return known;
    const serve = () => {
      const server = this.#serverOf(door);
      offerNews(server);
      return server;
    };
    const handler = createMcpHandler(serve, {
      legacy: 'reject',
      bus: new InboxBus(door),
      maxRequestBodySize: MCP_LIMITS.bodyBytes,
      maxSubscriptions: MCP_LIMITS.sessionsOfAgent,
      onerror: (error) => this.#options.warn(error),
    });
    // Nothing would forget it again.
    if (door.closed.aborted) return handler;
    this.#modern.set(door, handler);
    const forget = () => {
      this.#modern.delete(door);
      void handler.close();
    };
    door.closed.addEventListener('abort', forget, { once: true });
    return handler;
  }

  #serverOf(door: AgentDoor): McpServer {
    return serverFor({ door, people: this.#options.people }, (context) =>
      this.#exchanges.get(exchangeIdOf(context.http?.req))!.exchange.call(context),
    );
  }

  async sweep(): Promise<void> {
    await this.#sessions.sweep(MCP_LIMITS.sessionIdleMs);
    const atWork = new Set([...this.#exchanges.values()].map(({ door }) => door));
    const isUsed = (door: AgentDoor) => atWork.has(door) || this.#sessions.isUsed(door);
    this.#access.sweep(MCP_LIMITS.sessionIdleMs, isUsed);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#modern.values()].map((handler) => handler.close()));
    await this.#sessions.close();
    await this.#access.close();
  }
}

/** Throws not_found PATH_UNKNOWN, unimplemented METHOD_NOT_ALLOWED. */
function checkTarget({ url = '', method = '' }: IncomingMessage): void {
  if (url.split('?', 1)[0] !== '/mcp')
    throw new FleetwireError('not_found', 'PATH_UNKNOWN', 'there is nothing here', {
      help: 'The tools are at /mcp.',
    });
  if (!['GET', 'POST', 'DELETE'].includes(method))
    throw new FleetwireError('unimplemented', 'METHOD_NOT_ALLOWED', 'that method is not served');
}

function addressOf({ listen, tls, plain }: HttpOptions): { host: string; port: number } {
  const [, name = '', digits = ''] = /^(.+):(\d{1,5})$/.exec(listen) ?? [];
  const port = Number(digits);
  const host = name.replace(/^\[(.*)\]$/, '$1');
  if (host === '' || port > 65_535) throw listenFailed(listen, new Error('that is not host:port'));
  if (tls !== undefined || plain || isLoopback(host)) return { host, port };
  throw new FleetwireError(
    'failed_precondition',
    'PLAIN_HTTP_REFUSED',
    `tokens would go over the network to ${listen} as they are`,
    {
      help: 'Give --tls-cert and --tls-key, listen on 127.0.0.1, or say --plain-http where something else protects the way.',
    },
  );
}

const listenFailed = (listen: string, cause: unknown) =>
  new FleetwireError(
    'failed_precondition',
    'LISTEN_FAILED',
    `cannot listen on ${listen}: ${asFleetwireError(cause).message}`,
    {
      help: 'Free the address, or choose another one.',
      cause,
    },
  );
