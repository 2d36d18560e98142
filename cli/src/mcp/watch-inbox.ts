/** Tells a client that there is new mail, where the client wants to be told. */

import { backoffMs, pause } from '@fleetwire/kernel';
import type { McpServer } from '@modelcontextprotocol/server';
import type { AgentDoor } from './agent-door.ts';
import { MCP_LIMITS } from './limits.ts';
import { INBOX_URI } from './server.ts';

/** Between two looks while mail waits unread. */
const LOOK_MS = 2000;

/** From the first subscription on, until the server or the door closes. */
export function watchInbox(server: McpServer, door: AgentDoor): void {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, door.closed]);
  let watching = false;
  server.server.registerCapabilities({ resources: { subscribe: true } });
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    if (!watching && params.uri === INBOX_URI) void watch(server, door, signal);
    watching ||= params.uri === INBOX_URI;
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  const closed = server.server.onclose;
  server.server.onclose = () => {
    over.abort();
    closed?.();
  };
}

async function watch(server: McpServer, door: AgentDoor, signal: AbortSignal): Promise<void> {
  let before = 0;
  for (let attempt = 0; !signal.aborted; ) {
    try {
      const look = { limit: 1, replyTo: '', holdMs: 0 };
      const { deliveries, remaining } = await door.look(look, MCP_LIMITS.pollMs, signal);
      const count = deliveries.length + remaining;
      attempt = 0;
      if (count > before) await server.server.sendResourceUpdated({ uri: INBOX_URI });
      before = count;
      if (count > 0) await pause(LOOK_MS, signal);
    } catch {
      await pause(backoffMs(MCP_LIMITS.backoff, attempt++), signal);
    }
  }
}
