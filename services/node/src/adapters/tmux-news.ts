/** Wakes whoever looks at a pane as soon as something has shown in it, so that proof needs no haste of polling. */

import { pause } from '@fleetwire/kernel';
import { type Companion, endCompanion, startCompanion } from './tmux-companion.ts';
import type { TmuxServer } from './tmux-server.ts';

const LIMITS = {
  /** Nobody waits for that long: the client ends, so that a pane nobody looks at costs nothing. */
  idleMs: 3000,
  /** Output between two looks beyond which a pane is looked at by time alone for a while: its program floods it. */
  floodBytes: 1024 * 1024,
  floodRestMs: 3000,
} as const;

/**
 * A control client of the pane's session while somebody waits: tmux tells it of all output. It is read only and does not
 * count for the size of the window. What it says is a hint and never proof; without it (no such flags in an old tmux, a
 * flood) there are no hints.
 */
export class PaneNews {
  readonly #server: TmuxServer;
  readonly #pane: string;
  #client: Companion | undefined;
  #bytes = 0;
  #restUntil = 0;
  #wake: (() => void) | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(server: TmuxServer, pane: string) {
    this.#server = server;
    this.#pane = pane;
  }

  /** Until something has shown since the call before, but for `minMs` at least and `maxMs` at most, or until `signal` aborts. */
  async wait(minMs: number, maxMs: number, signal: AbortSignal): Promise<void> {
    clearTimeout(this.#idle);
    this.listen();
    await pause(minMs, signal);
    if (this.#bytes === 0 && !signal.aborted) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await pause(Math.max(0, maxMs - minMs), AbortSignal.any([signal, woken.signal]));
      this.#wake = undefined;
    }
    this.#bytes = 0;
    this.#idle = setTimeout(() => this.close(), LIMITS.idleMs).unref();
  }

  /** Begins to hear what shows; the beginning itself counts as news. */
  listen(): void {
    if (this.#client !== undefined || performance.now() < this.#restUntil) return;
    const { binary, socket } = this.#server;
    const attach = ['-C', 'attach-session', '-E', '-f', 'ignore-size,read-only', '-t', this.#pane];
    const client = startCompanion(binary, ['-S', socket, '-f', '/dev/null', ...attach], () => {
      if (this.#client === client) this.#rest();
    });
    this.#client = client;
    client.stdout.on('data', (chunk: Buffer) => this.#hear(chunk.length));
  }

  #hear(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > LIMITS.floodBytes) this.#rest();
    this.#wake?.();
  }

  #rest(): void {
    this.close();
    this.#restUntil = performance.now() + LIMITS.floodRestMs;
  }

  close(): void {
    clearTimeout(this.#idle);
    const client = this.#client;
    this.#client = undefined;
    endCompanion(client);
  }
}
