/** One tmux server behind its own socket: bounded, argv-only commands, and a watch over its panes. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { childEnvironment } from '@fleetwire/config';
import { FleetwireError } from '@fleetwire/kernel';

export const TMUX_LIMITS = {
  /** Bytes of a socket's path: sockaddr_un holds 104 on macOS, 108 on Linux. */
  socketPathBytes: 100,
  /** tmux clients of one node at a time; more wait their turn. */
  clients: 8,
  commandMs: 5000,
  /** Bytes of one command's output: a capture. */
  outputBytes: 4 * 1024 * 1024,
  /** How often exited programs are looked for. */
  watchMs: 500,
  /** Looks after which an end counts even when nobody knows how. */
  endingLooks: 4,
} as const;

/** `folder`/tmux.sock, or where that is too long, a name made of it in a private folder below the temporary one. */
export function socketPath(folder: string): string {
  const direct = join(folder, 'tmux.sock');
  if (Buffer.byteLength(direct) <= TMUX_LIMITS.socketPathBytes) return direct;
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  const { uid } = userInfo();
  for (const base of [tmpdir(), '/tmp']) {
    const own = join(base, `fleetwire-${uid}`);
    const path = join(own, `${hash}.sock`);
    if (Buffer.byteLength(path) > TMUX_LIMITS.socketPathBytes) continue;
    mkdirSync(own, { recursive: true, mode: 0o700 });
    const stat = lstatSync(own);
    if (stat.isDirectory() && stat.uid === uid) {
      chmodSync(own, 0o700);
      return path;
    }
  }
  throw new FleetwireError(
    'failed_precondition',
    'SOCKET_PATH_TOO_LONG',
    `no place for a socket: ${direct}`,
    {
      help: 'Choose a shorter data folder (FLEETWIRE_HOME).',
    },
  );
}

export interface PaneStatus {
  readonly agent: string;
  readonly pid: number;
  readonly dead: boolean;
  readonly exitCode: number | undefined;
  /** The terminal is closed, but how the program ended is not known yet. */
  readonly ending: boolean;
}

type Watcher = (status: PaneStatus | undefined) => void;

/** A tmux word that ends in `;` would end the command. */
const word = (text: string) => (text.endsWith(';') ? `${text.slice(0, -1)}\\;` : text);

/** Commands in one call run one after the other in the server, with no pane output taken in between. */
export type Command = readonly string[];

export class TmuxServer {
  readonly socket: string;
  readonly binary: string;
  readonly #watched = new Map<
    string,
    { readonly pid: number; readonly watcher: Watcher; patience: number }
  >();
  #timer: NodeJS.Timeout | undefined;
  #starting: Promise<unknown> = Promise.resolve();

  constructor(socket: string, binary = 'tmux') {
    this.socket = socket;
    this.binary = binary;
  }

  /** Output of the commands; rejects `TMUX_MISSING`, `TMUX_NOT_ANSWERING`, or `TMUX_FAILED` with tmux's own words. */
  async run(commands: readonly Command[], o: { input?: string; env?: Record<string, string> } = {}) {
    const args = ['-S', this.socket, '-f', '/dev/null'];
    for (const [i, command] of commands.entries()) {
      if (i > 0) args.push(';');
      for (const part of command) args.push(word(part));
    }
    const release = await turn();
    try {
      return await runClient(this.binary, args, o.env ?? tmuxEnvironment(), o.input ?? '');
    } finally {
      release();
    }
  }

  /** Starts are done one after the other: they set what the next session inherits. */
  exclusively<T>(start: () => Promise<T>): Promise<T> {
    const next = this.#starting.then(start, start);
    this.#starting = next.catch(() => undefined);
    return next;
  }

  /** Calls `watcher` once, when the pane's program has ended; with undefined when the pane has another one or is gone. */
  watch(pane: string, pid: number, watcher: Watcher): void {
    this.#watched.set(pane, { pid, watcher, patience: TMUX_LIMITS.endingLooks });
    this.#timer ??= this.#lookLater();
  }

  /** Watching keeps no process alive by itself. */
  #lookLater(): NodeJS.Timeout {
    return setTimeout(() => void this.#look(), TMUX_LIMITS.watchMs).unref();
  }

  unwatch(pane: string): void {
    this.#watched.delete(pane);
    if (this.#watched.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    let panes: ReadonlyMap<string, PaneStatus> | undefined;
    // Before the question: a pane that is watched after it is not in the answer.
    const watched = [...this.#watched];
    try {
      panes = await this.panes();
    } catch {
      // tmux did not answer in time: known next time.
    }
    if (panes !== undefined)
      for (const [pane, entry] of watched) {
        if (this.#watched.get(pane) !== entry) continue;
        const there = panes.get(pane);
        const status = there?.pid === entry.pid ? there : undefined;
        if (status !== undefined && !status.dead) continue;
        if (status?.ending && entry.patience-- > 0) {
          // tmux 3.3 now and then misses that its child has ended, until another one does.
          await this.run([['run-shell', '-b', ':']]).catch(() => undefined);
          continue;
        }
        this.#watched.delete(pane);
        entry.watcher(status);
      }
    this.#timer = this.#watched.size === 0 ? undefined : this.#lookLater();
  }

  /** All panes of this server; none when it does not run. */
  async panes(): Promise<ReadonlyMap<string, PaneStatus>> {
    const format =
      '#{pane_id} #{pane_pid} #{pane_dead} [#{pane_dead_status}#{?pane_dead_signal,S,}] #{@fleetwire_agent}';
    const panes = new Map<string, PaneStatus>();
    let out: string;
    try {
      out = await this.run([['list-panes', '-a', '-F', format]]);
    } catch (error) {
      if (isNoServer(error)) return panes;
      throw error;
    }
    for (const line of out.split('\n')) {
      const match = /^(%\d+) (\d+) ([01]) \[(\d*)(S?)\] ?(.*)$/.exec(line);
      if (match === null) continue;
      const [, id, pid, deadFlag, status, signal, agent] = match as unknown as string[];
      const exitCode = status === '' ? undefined : Number(status);
      const dead = deadFlag === '1';
      const ending = dead && exitCode === undefined && signal === '';
      panes.set(id!, { pid: Number(pid), dead, exitCode, ending, agent: agent! });
    }
    return panes;
  }
}

const servers = new Map<string, TmuxServer>();

/** The one object of this process for a socket. */
export function tmuxServer(socket: string): TmuxServer {
  let server = servers.get(socket);
  if (server === undefined) {
    server = new TmuxServer(socket);
    servers.set(socket, server);
  }
  return server;
}

/** No server behind the socket, or no pane in it. */
export function isNoServer(error: unknown): boolean {
  return (
    error instanceof FleetwireError &&
    error.reason === 'TMUX_FAILED' &&
    /no server running|error connecting|server exited|lost server/.test(error.message)
  );
}

/** Inside another tmux its variables would point panes and tools at the wrong server. */
export function tmuxEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { TMUX: _server, TMUX_PANE: _pane, ...env } = childEnvironment();
  return { ...env, ...extra };
}

let running = 0;
const waiting: (() => void)[] = [];

async function turn(): Promise<() => void> {
  if (running >= TMUX_LIMITS.clients) await new Promise<void>((resolve) => waiting.push(resolve));
  else running++;
  return () => {
    const next = waiting.shift();
    if (next) next();
    else running--;
  };
}

function runClient(binary: string, args: string[], env: Record<string, string>, input: string) {
  return new Promise<string>((resolve, reject) => {
    const child = spawn(binary, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    let size = 0;
    let err = '';
    const fail = (reason: string, message: string) =>
      reject(new FleetwireError('unavailable', reason, message, { retryAfterMs: 500 }));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail('TMUX_NOT_ANSWERING', `tmux did not answer within ${TMUX_LIMITS.commandMs} ms`);
    }, TMUX_LIMITS.commandMs);
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= TMUX_LIMITS.outputBytes) out.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (err.length < 2000) err += chunk.toString('utf8');
    });
    child.stdin.on('error', () => undefined);
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(error.code === 'ENOENT' ? tmuxMissing() : error);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(Buffer.concat(out).toString('utf8'));
      else fail('TMUX_FAILED', err.trim() || `tmux ended with ${code}`);
    });
    child.stdin.end(input);
  });
}

function tmuxMissing(): FleetwireError {
  return new FleetwireError('failed_precondition', 'TMUX_MISSING', 'tmux is not installed or not on PATH', {
    help: 'Install it ("apt install tmux" on Debian, "brew install tmux" on macOS), or choose the adapter stdio.',
  });
}
