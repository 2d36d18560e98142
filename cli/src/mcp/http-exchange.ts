/** One HTTP request and its response: between node's shapes and the web's, and whether the response got to the client. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ERROR_TABLE } from '@fleetwire/contract';
import { FleetwireError, toldError } from '@fleetwire/kernel';
import type { ServerContext } from '@modelcontextprotocol/server';
import { errorDocument } from '../output.ts';
import { MCP_LIMITS } from './limits.ts';
import { progressOf } from './progress.ts';
import { type Call, once } from './tool.ts';

/** Ours alone: what a client sends by this name is left out. */
const EXCHANGE = 'x-fleetwire-exchange';
const PASSED = /^(accept|content-type|last-event-id|mcp-[a-z-]+)$/;
/** JSON-RPC leaves -32000 to -32099 to servers. */
const REFUSED = -32_000;

export class Exchange {
  readonly id = randomUUID();
  readonly #told: ((written: boolean) => void)[] = [];
  readonly #gone = new AbortController();

  constructor(response: ServerResponse) {
    response.once('finish', () => {
      for (const tell of this.#told.splice(0)) tell(true);
    });
    response.once('close', () => {
      if (!response.writableFinished) this.#gone.abort();
    });
  }

  /** A client that has hung up cannot be told anything: its call is over. */
  call(context: ServerContext): Call {
    const signal = AbortSignal.any([context.mcpReq.signal, this.#gone.signal]);
    return {
      signal,
      ...progressOf(context),
      settled: (told) => {
        if (signal.aborted) return told(false);
        const tell = once(told);
        this.#told.push(tell);
        signal.addEventListener('abort', () => tell(false), { once: true });
      },
    };
  }

  /** The same request in the web's shape; the id finds this exchange again. */
  request({ method = '', headers }: IncomingMessage, body: string | undefined): Request {
    const passed = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
      PASSED.test(name) && typeof value === 'string' ? [[name, value]] : [],
    );
    const init = { method, headers: [...passed, [EXCHANGE, this.id] as [string, string]] };
    return new Request('http://localhost/mcp', body === undefined ? init : { ...init, body });
  }
}

export const exchangeIdOf = (request: Request | undefined): string => request?.headers.get(EXCHANGE) ?? '';

/** Rejects when the client goes before it has all of it. */
export async function writeResponse(to: ServerResponse, response: Response): Promise<void> {
  to.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) return void to.end();
  to.flushHeaders();
  await pipeline(Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]), to);
}

/** What is refused before it gets to a tool: in JSON-RPC's shape, with the usual document as its data. */
export function refuse(to: ServerResponse, thrown: unknown): void {
  if (to.headersSent) return void to.destroy();
  const told = toldError(thrown);
  const data = { ...errorDocument(thrown), message: told.message };
  const status = ERROR_TABLE[told.kind].http;
  const error = { code: REFUSED, message: `${told.message} (${told.reason})`, data };
  to.writeHead(status, {
    'content-type': 'application/json',
    connection: 'close',
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(told.retryAfterMs === undefined
      ? {}
      : { 'retry-after': String(Math.ceil(told.retryAfterMs / 1000)) }),
  });
  to.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
}

/** Within its bound. Throws invalid_argument BODY_TOO_LARGE, BODY_INVALID. */
export async function jsonBody(request: IncomingMessage): Promise<{ text: string; json: unknown }> {
  const parts: Uint8Array[] = [];
  let size = Number(request.headers['content-length'] ?? 0);
  if (size > MCP_LIMITS.bodyBytes) throw tooLarge();
  size = 0;
  for await (const part of request as AsyncIterable<Uint8Array>) {
    size += part.length;
    if (size > MCP_LIMITS.bodyBytes) throw tooLarge();
    parts.push(part);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
    return { text, json: JSON.parse(text) };
  } catch (cause) {
    throw new FleetwireError('invalid_argument', 'BODY_INVALID', 'the body is no JSON in UTF-8', { cause });
  }
}

const tooLarge = () =>
  new FleetwireError(
    'invalid_argument',
    'BODY_TOO_LARGE',
    `a request has ${MCP_LIMITS.bodyBytes} bytes at most`,
  );
