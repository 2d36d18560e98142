/** Tells clients that there is new mail, where they want to be told. */

import { backoffMs, pause } from '@fleetwire/kernel';
import {
  InMemoryServerEventBus,
  type McpRequestContext,
  type McpServer,
  type ServerEvent,
} from '@modelcontextprotocol/server';
import type { AgentDoor } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';
import { INBOX_URI } from './server.ts';

/** Between two looks while mail waits unread. */
const LOOK_MS = 2000;

/** Says of itself that a client may want to be told. */
export function offerNews(server: McpServer): void {
  server.server.registerCapabilities({ resources: { subscribe: true } });
}

/**
 * Until the server or the door closes. One that was initialized is told from its first subscription on; of `modern` ones the
 * package knows who listens, and tells nobody else.
 */
export function watchInbox(
  server: McpServer,
  door: AgentDoor,
  era: McpRequestContext['era'] = 'legacy',
): void {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, door.closed]);
  let watching = false;
  const begin = () => {
    if (!watching) void watch(door, signal, () => server.server.sendResourceUpdated({ uri: INBOX_URI }));
    watching = true;
  };
  offerNews(server);
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    if (params.uri === INBOX_URI) begin();
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  const closed = server.server.onclose;
  server.server.onclose = () => {
    over.abort();
    closed?.();
  };
  if (era === 'modern') begin();
}

/** What clients of one agent that need no session listen to; watched as long as anybody does. */
export class InboxBus extends InMemoryServerEventBus {
  readonly #door: AgentDoor;
  #watching: AbortController | undefined;

  constructor(door: AgentDoor) {
    super();
    this.#door = door;
  }

  override subscribe(listener: (event: ServerEvent) => void): () => void {
    const leave = super.subscribe(listener);
    this.#watching ??= this.#watch();
    return () => {
      leave();
      if (this.listenerCount > 0) return;
      this.#watching?.abort();
      this.#watching = undefined;
    };
  }

  #watch(): AbortController {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#door.closed]);
    void watch(this.#door, signal, async () => this.publish({ kind: 'resource_updated', uri: INBOX_URI }));
    return over;
  }
}

async function watch(door: AgentDoor, signal: AbortSignal, tell: () => Promise<void>): Promise<void> {
  let before = 0;
  for (let attempt = 0; !signal.aborted; ) {
    try {
      const look = { limit: 1, replyTo: '', holdMs: 0 };
      const { deliveries, remaining } = await door.look(look, MCP_LIMITS.pollMs, signal);
      const count = deliveries.length + remaining;
      attempt = 0;
      if (count > before) await tell();
      before = count;
      if (count > 0) await pause(LOOK_MS, signal);
    } catch {
      await pause(backoffMs(MCP_LIMITS.backoff, attempt++), signal);
    }
  }
}
