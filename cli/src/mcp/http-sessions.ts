/** Sessions of clients that open with `initialize`: a share of them for each agent, ended when nothing is heard of them. */

import { randomUUID } from 'node:crypto';
import { FleetwireError, keepNewest } from '@fleetwire/kernel';
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

type Limits = Readonly<Record<'sessions' | 'sessionsOfAgent', number>>;

/** Ids of sessions that had to go, so that their clients can be told. */
const DISPLACED_MAX = 1024;

export class HttpSessions {
  readonly #sessions = new Map<string, Session>();
  /** Of those that have no id yet. */
  readonly #opening = new Set<{ readonly door: AgentDoor }>();
  readonly #displaced = new Map<string, AgentDoor>();
  /** Those whose end is listened for. */
  readonly #watched = new WeakSet<AgentDoor>();
  readonly #serverOf: (door: AgentDoor) => McpServer;
  readonly #limits: Limits;

  constructor(serverOf: (door: AgentDoor) => McpServer, limits: Limits = MCP_LIMITS) {
    this.#serverOf = serverOf;
    this.#limits = limits;
  }

  /** Has this agent any? */
  isUsed(door: AgentDoor): boolean {
    return this.#countOf(door) > 0;
  }

  /** Throws not_found SESSION_UNKNOWN for one that is not, or is another agent's; SESSION_DISPLACED. */
  named(id: string, door: AgentDoor): Session {
    const session = this.#sessions.get(id);
    if (session?.door === door) return session;
    if (this.#displaced.get(id) === door)
      throw new FleetwireError(
        'not_found',
        'SESSION_DISPLACED',
        'this session has made room for a newer one',
        {
          help: `Initialize again. An agent has ${this.#limits.sessionsOfAgent} at most: end those that are not needed.`,
        },
      );
    throw new FleetwireError('not_found', 'SESSION_UNKNOWN', 'there is no such session of this agent', {
      help: 'Initialize again.',
    });
  }

  /** Answers an `initialize`. Rejects resource_exhausted TOO_MANY_SESSIONS. */
  async initialize(door: AgentDoor, request: Request, parsedBody: unknown): Promise<Response> {
    const displaced = mayBegin(parsedBody) ? this.#makeRoom(door) : undefined;
    const place = { door };
    this.#opening.add(place);
    const server = this.#serverOf(door);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      maxRequestBodySize: MCP_LIMITS.bodyBytes,
      onsessioninitialized: (id) => {
        this.#opening.delete(place);
        this.#sessions.set(id, { door, server, transport, open: 0, lastMs: performance.now() });
        this.#watch(door);
      },
      onsessionclosed: (id) => void this.#sessions.delete(id),
    });
    try {
      await displaced?.server.close();
      await server.connect(transport);
      return await transport.handleRequest(request, { parsedBody });
    } finally {
      this.#opening.delete(place);
      if (transport.sessionId === undefined) await server.close();
      if (door.closed.aborted) await this.#endOf(door);
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

  /** Ends those of which nothing was heard for `idleMs`; one whose stream is open is listening. */
  async sweep(idleMs: number): Promise<void> {
    for (const [id, session] of this.#sessions) {
      if (session.open > 0 || performance.now() - session.lastMs < idleMs) continue;
      this.#sessions.delete(id);
      await session.server.close();
    }
  }

  /** What would listen at a door that is closed would hear nothing for ever: its streams end, and clients begin anew. */
  #watch(door: AgentDoor): void {
    if (this.#watched.has(door)) return;
    this.#watched.add(door);
    door.closed.addEventListener('abort', () => void this.#endOf(door), { once: true });
  }

  async #endOf(door: AgentDoor): Promise<void> {
    for (const [id, session] of this.#sessions) {
      if (session.door !== door) continue;
      this.#sessions.delete(id);
      await session.server.close();
    }
  }

  async close(): Promise<void> {
    const all = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const { server } of all) await server.close();
  }

  /**
   * Takes out the one that has to go: the longest idle of this agent when it has its share, else of whichever has most, and more
   * than this one. Undefined: there is room.
   */
  #makeRoom(door: AgentDoor): Session | undefined {
    const own = this.#countOf(door);
    const { sessions: max, sessionsOfAgent: share } = this.#limits;
    if (own < share && this.#sessions.size + this.#opening.size < max) return undefined;
    let found: { id: string; session: Session; count: number } | undefined;
    for (const [id, session] of this.#sessions) {
      const count = this.#countOf(session.door);
      if (session.open > 0 || (own < share ? count <= own : session.door !== door)) continue;
      const isBefore =
        count === found?.count ? session.lastMs < found.session.lastMs : count > (found?.count ?? 0);
      if (isBefore) found = { id, session, count };
    }
    if (found === undefined)
      throw new FleetwireError(
        'resource_exhausted',
        'TOO_MANY_SESSIONS',
        `all ${own < share ? max : own} sessions are in use`,
        {
          help: `End some: an agent has ${share} at most.`,
          retryAfterMs: 10_000,
        },
      );
    this.#sessions.delete(found.id);
    this.#displaced.set(found.id, found.session.door);
    keepNewest(this.#displaced, DISPLACED_MAX);
    return found.session;
  }

  #countOf(door: AgentDoor): number {
    let count = 0;
    for (const one of [...this.#opening, ...this.#sessions.values()]) if (one.door === door) count++;
    return count;
  }
}

/** What begins nothing needs no room. */
const mayBegin = (body: unknown): boolean =>
  [body].flat().some((one) => (one as { method?: unknown } | null | undefined)?.method === 'initialize');
