/** MCP over standard input and output: one client, for as long as it keeps the pipe open. */

import type { JSONRPCMessage, RequestId, ServerContext } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import { progressOf } from './progress.ts';
import { serverFor } from './server.ts';
import type { Call, ToolParts } from './tool.ts';
import { watchInbox } from './watch-inbox.ts';

/** Knows when an answer has gone to the client, and when the client has gone. */
class WatchedStdio extends StdioServerTransport {
  readonly #told = new Map<RequestId, ((written: boolean) => void)[]>();
  readonly #gone: () => void;

  constructor(gone: () => void) {
    super();
    this.#gone = gone;
  }

  override async send(message: JSONRPCMessage): Promise<void> {
    const id = 'id' in message && !('method' in message) ? message.id : undefined;
    const settle = (written: boolean) => {
      if (id !== undefined) this.#settle(id, written);
    };
    try {
      await super.send(message);
      settle(true);
    } catch (error) {
      settle(false);
      throw error;
    }
  }

  override async close(): Promise<void> {
    await super.close();
    for (const id of this.#told.keys()) this.#settle(id, false);
    this.#gone();
  }

  call(context: ServerContext): Call {
    const { id, signal } = context.mcpReq;
    const { progress } = progressOf(context);
    return {
      signal,
      progress,
      settled: (told) => {
        if (signal.aborted) return told(false);
        this.#told.set(id, [...(this.#told.get(id) ?? []), told]);
        // Then nothing is answered.
        signal.addEventListener('abort', () => this.#settle(id, false), { once: true });
      },
    };
  }

  #settle(id: RequestId, written: boolean): void {
    const told = this.#told.get(id) ?? [];
    this.#told.delete(id);
    for (const tell of told) tell(written);
  }
}

/** Serves until the client closes the pipe or `leaving` aborts; `warn` is told of what could not be read or written. */
export async function serveOnStdio(
  parts: ToolParts,
  leaving: AbortSignal,
  warn: (error: Error) => void,
): Promise<void> {
  await new Promise<void>((resolve) => {
    const transport = new WatchedStdio(resolve);
    const handle = serveStdio(
      ({ era }) => {
        const server = serverFor(parts, (context) => transport.call(context));
        watchInbox(server, parts.door, era);
        return server;
      },
      { transport, onerror: warn },
    );
    const leave = () => void handle.close().finally(resolve);
    if (leaving.aborted) leave();
    else leaving.addEventListener('abort', leave, { once: true });
  });
}
