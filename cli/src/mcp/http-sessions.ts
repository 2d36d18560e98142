/** Sessions of clients that open with `initialize`: bounded, each of one agent, ended when nothing is heard of them. */

import { randomUUID } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import { type McpServer, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import type { AgentDoor } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';

interface Session {
  readonly door: AgentDoor;
  readonly server: McpServer;
  readonly transport: WebStandardStreamableHTTPServerTransport;
  /** Requests under way, a stream of notifications among them. */
  open: number;
  lastMs: number;
}

export class HttpSessions {
  readonly #sessions = new Map<string, Session>();
  /** Those that have no id yet. */
  #opening = 0;
  readonly #serverOf: (door: AgentDoor) => McpServer;

  constructor(serverOf: (door: AgentDoor) => McpServer) {
    this.#serverOf = serverOf;
  }

  /** Undefined for a session that is not, or is another agent's. */
  find(id: string, door: AgentDoor): Session | undefined {
    const session = this.#sessions.get(id);
    return session?.door === door ? session : undefined;
  }

  /** Answers an `initialize`. Rejects resource_exhausted TOO_MANY_SESSIONS. */
  async initialize(door: AgentDoor, request: Request, parsedBody: unknown): Promise<Response> {
    if (this.#sessions.size + this.#opening >= MCP_LIMITS.sessions)
      throw new FleetwireError(
        'resource_exhausted',
        'TOO_MANY_SESSIONS',
        `${this.#sessions.size} sessions are open`,
        {
          help: 'End some.',
          retryAfterMs: 10_000,
        },
      );
    this.#opening++;
    const server = this.#serverOf(door);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      maxRequestBodySize: MCP_LIMITS.bodyBytes,
      onsessioninitialized: (id) => {
        this.#sessions.set(id, { door, server, transport, open: 0, lastMs: performance.now() });
      },
      onsessionclosed: (id) => void this.#sessions.delete(id),
    });
    try {
      await server.connect(transport);
      return await transport.handleRequest(request, { parsedBody });
    } finally {
      this.#opening--;
      if (transport.sessionId === undefined) await server.close();
    }
  }

  /** `written` settles when the response has been written, or cannot be. */
  async handle(
    session: Session,
    request: Request,
    parsedBody: unknown,
    written: Promise<unknown>,
  ): Promise<Response> {
    session.open++;
    void written.finally(() => {
      session.open--;
      session.lastMs = performance.now();
    });
    return session.transport.handleRequest(request, parsedBody === undefined ? {} : { parsedBody });
  }

  /** Ends those of which nothing was heard for `idleMs`. */
  async sweep(idleMs: number): Promise<void> {
    for (const [id, session] of this.#sessions) {
      if (session.open > 0 || performance.now() - session.lastMs < idleMs) continue;
      this.#sessions.delete(id);
      await session.server.close();
    }
  }

  close(): Promise<void> {
    return this.sweep(Number.NEGATIVE_INFINITY);
  }
}
