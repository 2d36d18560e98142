/** The adapter for programs in a terminal: pastes, submits, and reads the pane until the program has taken it up. */

import { dirname, join } from 'node:path';
import { FleetwireError, messageMarker, pause } from '@fleetwire/kernel';
import { BoundedLog } from './bounded-log.ts';
import type { Adapter, AdapterFactory, AdapterSpec, InjectedMessage, ProgramState, Proof } from './port.ts';
import { PaneNews } from './tmux-news.ts';
import {
  findPane,
  HISTORY,
  isGone,
  lookAt,
  type Pane,
  type PaneView,
  startPane,
  stopPane,
  typingInto,
} from './tmux-pane.ts';
import { type BeforeEnter, placesOf, rememberBefore, type Screen, standing } from './tmux-screen.ts';
import { type Command, socketPath, type TmuxServer, tmuxServer } from './tmux-server.ts';
import { cutByBytes, markerPattern, type PanePart, type ReadingMode, renderForPane } from './tmux-text.ts';
import { TtyReader, type TtyState } from './tmux-tty.ts';
import { pending, readingMode, unproven, verdict } from './tmux-verdict.ts';

const LIMITS = {
  /** Bytes pasted at a time. */
  pasteBytes: 16 * 1024,
  /** Bytes of one row of a narrow pane. */
  rowBytes: 40,
  /** How long a paste may take to show before Enter is pressed all the same: a busy program shows nothing. */
  showMs: 500,
  showPollMs: 20,
  /** Looks come when something has shown, not closer together than the first of the two, and after the second anyway. */
  look: { minMs: 10, maxMs: 50 },
  /** A program that is busy for long is looked at less often: a look costs three processes. */
  slowLook: { minMs: 100, maxMs: 150 },
  slowAfterMs: 1000,
  /** While proof is late. */
  lateLook: { minMs: 250, maxMs: 1000 },
  /** What was read shows by then, or was swallowed without a trace. */
  swallowedMs: 2000,
  /** Each further part of a long body prolongs the first window by this share of it, up to `windows` in all. */
  partShare: 0.1,
  windows: 12,
  /** Bytes of the file that tells a program the ids behind the markers it sees: some thousand messages. */
  messagesBytes: 1024 * 1024,
} as const;

interface Typed {
  readonly id: string;
  readonly lines: readonly string[];
  readonly before: BeforeEnter | undefined;
  /** Parts of the whole message. */
  readonly parts: number;
  /** At most so many of the pane. */
  readonly rows: number;
  /** How often its marker stood in the pane before. */
  readonly shownBefore: number;
}

export const tmuxAdapter: AdapterFactory = (spec) => new TmuxAdapter(spec);

class TmuxAdapter implements Adapter {
  readonly kind = 'tmux';
  readonly #spec: AdapterSpec;
  readonly #listeners: ((state: ProgramState) => void)[] = [];
  /** The screen has room for a marker only: this is where a program finds what it takes to answer. */
  readonly #messages: BoundedLog;
  #server: TmuxServer | undefined;
  #pane: Pane | undefined;
  #news: PaneNews | undefined;
  readonly #ttys = new TtyReader();
  /** The program was found again: it may have been given messages that this adapter did not type. */
  #found = false;
  #state: ProgramState = { state: 'exited' };
  #typed: Typed | undefined;
  /** Something of the message under way has been typed. */
  #begun = false;
  #injecting: Promise<unknown> = Promise.resolve();

  constructor(spec: AdapterSpec) {
    const messages = join(spec.stateDir, 'messages.jsonl');
    this.#spec = { ...spec, env: { ...spec.env, FLEETWIRE_AGENT_MESSAGES: messages } };
    this.#messages = new BoundedLog(messages, LIMITS.messagesBytes);
  }

  async start(): Promise<void> {
    const spec = this.#spec;
    if (spec.command.length === 0)
      throw new FleetwireError('invalid_argument', 'NO_COMMAND', `${spec.name} has no command to run`);
    const handle = parseHandle(spec.handle);
    this.#server = tmuxServer(handle?.socket ?? socketPath(dirname(spec.stateDir)));
    this.#pane = handle && (await findPane(this.#server, spec.agent, handle.pane, handle.pid));
    this.#found = this.#pane !== undefined;
    if (this.#pane === undefined) {
      this.#pane = await startPane(this.#server, spec);
      const { id: pane, pid } = this.#pane;
      spec.saveHandle(JSON.stringify({ socket: this.#server.socket, pane, pid }));
    }
    const { id, pid } = this.#pane;
    this.#news = new PaneNews(this.#server, id);
    const place = `${id} on ${this.#server.socket}`;
    this.#state = { state: 'running', pid, pane: place };
    this.#server.watch(id, pid, (status) => {
      const { exitCode } = status ?? {};
      this.#state = { state: 'exited', pane: place, ...(exitCode === undefined ? {} : { exitCode }) };
      for (const listener of this.#listeners) listener(this.#state);
    });
  }

  inject(message: InjectedMessage): Promise<void> {
    const next = this.#injecting.then(() => this.#inject(message));
    this.#injecting = next.catch(() => undefined);
    return next;
  }

  async #inject(message: InjectedMessage): Promise<void> {
    const { pane } = this.#running();
    const view = await this.#look(this.#history(HISTORY.observe));
    if (view.screen === undefined) throw paneGone(pane);
    const tty = await this.#tty();
    this.#refuseUnsubmitted(view, tty);
    const mode = readingMode(tty);
    const parts = renderForPane(message, mode);
    const shownBefore = await this.#shown(view.screen, message.marker);
    const { marker, id, fromName, correlationId } = message;
    this.#messages.write(JSON.stringify({ marker, id, from: fromName, correlation_id: correlationId }));
    this.#messages.close();
    this.#begun = false;
    try {
      for (const part of parts) await this.#type(message, part, mode, { parts: parts.length, shownBefore });
    } catch (error) {
      if (!this.#begun && isGone(error)) throw paneGone(pane);
      // Something of it may have reached the program: what became of it is for observe() to find out.
      this.#spec.log.warn({ err: error, message_id: message.id }, 'the injection broke off');
    }
  }

  async #type(
    message: InjectedMessage,
    part: PanePart,
    mode: ReadingMode,
    whole: Pick<Typed, 'parts' | 'shownBefore'>,
  ): Promise<void> {
    const target = ['-t', this.#running().pane.id];
    const chunks = part.body === '' ? [] : cutByBytes(part.body, LIMITS.pasteBytes);
    const enter = [['send-keys', ...target, 'Enter']];
    // The head is typed, not pasted: interfaces that fold long pastes still show it.
    let commands: string[][] = [['send-keys', ...target, '-l', '--', part.header]];
    const lines = (part.header + part.body).split('\n');
    const rows = lines.reduce(
      (sum, line) => sum + 1 + Math.floor(Buffer.byteLength(line) / LIMITS.rowBytes),
      0,
    );
    const typed = { ...whole, id: message.id, lines, rows, before: undefined };
    this.#typed = typed;
    for (const chunk of chunks) {
      await this.#run(commands, chunk);
      commands = [];
    }
    if (mode.kind === 'line') return this.#run([...commands, ...enter]);
    if (commands.length > 0) await this.#run(commands);
    this.#typed = { ...typed, before: await this.#untilShown(message.marker) };
    await this.#run(enter);
  }

  /** Commands, then a paste. tmux waits for what it is to paste, and anything may happen meanwhile: it looks after that. */
  async #run(commands: readonly Command[], paste = ''): Promise<void> {
    const { server, pane } = this.#running();
    const buffer = ['-b', `fleetwire-${this.#spec.agent}`];
    const load = ['load-buffer', ...buffer, '-'];
    const into = ['paste-buffer', ...buffer, '-p', '-d', '-r', '-t', pane.id];
    const typing = [...typingInto(this.#spec.agent, pane), ...commands];
    await server.run(paste === '' ? typing : [load, ...typing, into], { input: paste });
    this.#begun = true;
  }

  /** Some interfaces take an Enter that comes right behind a paste for a part of it. */
  async #untilShown(marker: string): Promise<BeforeEnter | undefined> {
    const deadline = performance.now() + LIMITS.showMs;
    const pattern = markerPattern(marker);
    for (;;) {
      const { screen } = await this.#look(this.#history(0));
      if (screen === undefined) return undefined;
      const before = rememberBefore(screen, pattern);
      if (before !== undefined || performance.now() >= deadline) return before;
      await pause(LIMITS.showPollMs);
    }
  }

  /** What is left in the input line would become one message with the next. */
  #refuseUnsubmitted(view: PaneView, tty: TtyState | undefined): void {
    const last = this.#typed;
    if (last === undefined || tty?.kernelEchoes || view.screen === undefined) return;
    const marker = messageMarker(last.id);
    const wanted = { pattern: markerPattern(marker), typed: last.lines, kernelLine: false };
    const { before, shownBefore } = last;
    if (standing(view.screen, { ...wanted, before, shownBefore }).where !== 'input') return;
    throw new FleetwireError(
      'unavailable',
      'INPUT_LINE_TAKEN',
      `the message ${last.id} still stands in the input line of ${this.#spec.name}`,
      { retryAfterMs: 1000, help: 'Look at the pane: submit the line or clear it.' },
    );
  }

  async observe(message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof> {
    const started = performance.now();
    const parts = this.#typed?.id === message.id ? this.#typed.parts : 1;
    const windowMs = timeoutMs * Math.min(1 + (parts - 1) * LIMITS.partShare, LIMITS.windows);
    for (;;) {
      const proof = await this.#judge(message, HISTORY.observe);
      const elapsed = performance.now() - started;
      if (proof.kind === 'confirmed' || proof.reason === 'PANE_GONE') return proof;
      // On a busy machine what was read may not show yet: that soon nothing counts as swallowed.
      if (elapsed >= windowMs || signal.aborted)
        return elapsed < LIMITS.swallowedMs ? { ...proof, pending: true } : proof;
      const { minMs, maxMs } = elapsed > LIMITS.slowAfterMs ? LIMITS.slowLook : LIMITS.look;
      const leftMs = Math.max(1, windowMs - elapsed);
      await this.#news!.wait(Math.min(minMs, leftMs), Math.min(maxMs, leftMs), signal);
    }
  }

  async observeLate(message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof> {
    const started = performance.now();
    let pendingAt = started;
    for (;;) {
      // Between two looks a program that has caught up may have shown much.
      const proof = await this.#judge(message, HISTORY.recover);
      const now = performance.now();
      if (proof.kind === 'confirmed' || proof.reason === 'PANE_GONE') return proof;
      if (proof.pending) pendingAt = now;
      const left = timeoutMs - (now - started);
      if (left <= 0 || signal.aborted || now - pendingAt >= LIMITS.swallowedMs) return proof;
      const { minMs, maxMs } = LIMITS.lateLook;
      await this.#news!.wait(Math.min(minMs, left), Math.min(maxMs, left), signal);
    }
  }

  /** What was read just now may not show yet: one look alone takes nothing for swallowed. */
  async recover(message: InjectedMessage): Promise<Proof> {
    const proof = await this.#judge(message, HISTORY.recover);
    if (proof.kind === 'confirmed' || proof.reason === 'PANE_GONE') return proof;
    return { ...proof, pending: proof.pending ?? this.#found };
  }

  /** One look. The screen comes first: what it shows was in the terminal before the count of unread bytes was asked. */
  async #judge(message: InjectedMessage, history: number): Promise<Proof> {
    try {
      return (await this.#proof(message, history)) ?? unproven('PANE_GONE', goneText(this.#pane));
    } catch (error) {
      return pending('NOT_TAKEN_UP', `the pane could not be read: ${(error as Error).message}`);
    }
  }

  /** Undefined: the pane is gone, or was by the time its terminal was asked. */
  async #proof(message: InjectedMessage, history: number): Promise<Proof | undefined> {
    if (this.#pane === undefined) return undefined;
    const typed = this.#typed?.id === message.id ? this.#typed : undefined;
    const shownBefore = typed?.shownBefore ?? 0;
    const { screen } = await this.#look(shownBefore > 0 ? HISTORY.recover : this.#history(history));
    if (screen === undefined) return undefined;
    const tty = await this.#tty();
    const found = standing(screen, {
      pattern: markerPattern(message.marker),
      typed: typed?.lines ?? renderForPane(message, { kind: 'raw' }).flatMap((p) => p.body.split('\n')),
      kernelLine: tty?.kernelEchoes ?? false,
      before: typed?.before,
      shownBefore,
    });
    const proof = verdict(found, tty);
    // tmux takes the terminal of a program that has ended away, and the system may give its name to another pane: what was
    // read of it counts only if the pane lived on until after that. A program that reads and ends at once has its proof lost.
    if (!(proof.kind === 'unproven' && proof.pending) && !(await this.#lives())) return undefined;
    // A program that is not the one that was given the message has no proof to give.
    const known = typed !== undefined || this.#found;
    return proof.kind === 'confirmed' || known ? proof : { ...proof, pending: false };
  }

  #running(): { server: TmuxServer; pane: Pane } {
    if (this.#server === undefined || this.#pane === undefined || this.#state.state === 'exited')
      throw new FleetwireError('unavailable', 'PANE_GONE', `${this.#spec.name} does not run`);
    return { server: this.#server, pane: this.#pane };
  }

  /** Rows of history to look at: a long text has moved its head up, where the program shows all of it. */
  #history(least: number): number {
    return Math.min(HISTORY.recover, Math.max(least, this.#typed?.rows ?? 0));
  }

  /** How often the marker of a message that was not typed yet stands in the pane, however far up. */
  async #shown(screen: Screen, marker: string): Promise<number> {
    const pattern = markerPattern(marker);
    if (placesOf(screen, pattern).length === 0) return 0;
    const all = (await this.#look(HISTORY.recover)).screen;
    return all === undefined ? 0 : placesOf(all, pattern).length;
  }

  #look(history: number): Promise<PaneView> {
    return lookAt(this.#server!, this.#spec.agent, this.#pane!, history);
  }

  async #lives(): Promise<boolean> {
    const { id, pid } = this.#pane!;
    return (await findPane(this.#server!, this.#spec.agent, id, pid)) !== undefined;
  }

  #tty(): Promise<TtyState | undefined> {
    return this.#ttys.read(this.#pane!.tty);
  }

  programState(): ProgramState {
    return this.#state;
  }

  onExit(listener: (state: ProgramState) => void): void {
    this.#listeners.push(listener);
  }

  async stop(): Promise<void> {
    if (this.#server === undefined || this.#pane === undefined) return;
    this.#news?.close();
    this.#ttys.close();
    this.#server.unwatch(this.#pane.id);
    await stopPane(this.#server, this.#spec.agent, this.#pane);
    const { pane } = this.#state;
    this.#state = { state: 'exited', ...(pane === undefined ? {} : { pane }) };
  }
}

function paneGone(pane: Pane): FleetwireError {
  return new FleetwireError('unavailable', 'PANE_GONE', goneText(pane));
}

function goneText(pane: Pane | undefined): string {
  if (pane === undefined) return 'the program was not started';
  return `pane ${pane.id} has ended or is not the agent's own`;
}

interface Handle {
  readonly socket: string;
  readonly pane: string;
  readonly pid: number;
}

function parseHandle(text: string): Handle | undefined {
  if (text === '') return undefined;
  const { socket, pane, pid } = JSON.parse(text) as Partial<Handle>;
  return socket && pane && pid ? { socket, pane, pid } : undefined;
}
