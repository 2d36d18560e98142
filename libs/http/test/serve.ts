/** What the tests of this package share: a server with the routes of each test, and requests as raw bytes. */

import { connect } from 'node:net';
import { type HttpRoute, type HttpServer, type HttpServerOptions, startHttpServer } from '@fleetwire/http';

export interface TestServer extends AsyncDisposable {
  readonly server: HttpServer;
  /** `http://host:port`. */
  readonly url: string;
  readonly logged: Record<string, unknown>[];
  readonly refused: Record<string, unknown>[];
}

export async function serve(
  routes: readonly HttpRoute[],
  options: Partial<HttpServerOptions> = {},
): Promise<TestServer> {
  const logged: Record<string, unknown>[] = [];
  const refused: Record<string, unknown>[] = [];
  const server = await startHttpServer({
    listen: '127.0.0.1:0',
    routes,
    log: {
      debug: (fields) => refused.push(fields as Record<string, unknown>),
      error: (fields) => logged.push(fields as Record<string, unknown>),
    },
    bodyBytesMax: 1_000,
    requestTimeoutMs: 20_000,
    connectionsMax: 50,
    ...options,
  });
  const url = `http://${server.address}`;
  return { server, url, logged, refused, [Symbol.asyncDispose]: () => server.close() };
}

/** A route that answers with what it was asked. */
export const echo = (method: HttpRoute['method'], path: string, body: HttpRoute['body']): HttpRoute => ({
  method,
  path,
  body,
  handle: (request) => ({
    status: 200,
    type: 'json',
    body: {
      params: request.params,
      query: [...request.query],
      form: [...request.form],
      json: request.json,
      raw: Buffer.from(request.raw).toString('latin1'),
      host: request.host,
      peer: request.peer,
    },
  }),
});

export interface Told {
  readonly error: {
    readonly kind: string;
    readonly reason: string;
    readonly message: string;
    readonly help?: string;
    readonly details: Record<string, string>;
    readonly violations: readonly { field: string; description: string }[];
    readonly retry_after_ms?: number;
  };
}

/** The error that an answer tells. */
export async function toldBy(answer: Response): Promise<Told['error']> {
  return ((await answer.json()) as Told).error;
}

/** All that comes back for these bytes until the server closes the connection. */
export function exchange(address: string, bytes: string): Promise<string> {
  const [host, port] = address.replace('http://', '').split(':');
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(port), host, () => socket.write(bytes));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
  });
}
