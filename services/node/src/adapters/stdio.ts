/** The adapter for programs that speak JSON lines: a child process that acknowledges what it has taken. */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { childEnvironment } from '@fleetwire/config';
import { FleetwireError, keepNewest, pause } from '@fleetwire/kernel';
import { BoundedLog } from './bounded-log.ts';
import { evidenceOf } from './harmless.ts';
import type { Adapter, AdapterFactory, AdapterSpec, InjectedMessage, ProgramState, Proof } from './port.ts';
import { LineCutter } from './stdio-lines.ts';
import { endGroup, startedAt } from './stdio-process.ts';
import { errorLine, messageLine, type ProgramLine, readProgramLine, sentLine } from './stdio-protocol.ts';

const LIMITS = {
  /** Bytes of one line of the program: a body of 1 MiB with room for escapes or base64. */
  lineBytes: 3 * 1024 * 1024,
  /** Bytes that wait for a program which does not read its input, before it gets no more messages. */
  inputBytes: 8 * 1024 * 1024,
  /** Sends of the program that wait for the node's disk, before its output is read no further. */
  sends: 256,
  /** Acknowledgements that nobody has asked for yet. */
  acks: 4096,
  logBytes: 1024 * 1024,
} as const;

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

export const stdioAdapter: AdapterFactory = (spec) => new StdioAdapter(spec);

class StdioAdapter implements Adapter {
  readonly kind = 'stdio';
  readonly #spec: AdapterSpec;
  readonly #log: BoundedLog;
  readonly #listeners: ((state: ProgramState) => void)[] = [];
  /** Injected into the present child and not yet proved, with the line by which the program has acknowledged it. */
  readonly #injected = new Map<string, string | undefined>();
  readonly #waiting = new Map<string, () => void>();
  #child: Child | undefined;
  #state: ProgramState = { state: 'exited' };
  #sends = 0;
  #stopping = false;

  constructor(spec: AdapterSpec) {
    this.#spec = spec;
    this.#log = new BoundedLog(join(spec.stateDir, 'program.log'), LIMITS.logBytes);
  }

  /** An earlier child has lost its pipes with the node that started it: it is ended before a new one starts. */
  async start(): Promise<void> {
    const { command, name, cwd, env, handle } = this.#spec;
    const [file, ...args] = command;
    if (file === undefined)
      throw new FleetwireError('invalid_argument', 'NO_COMMAND', `${name} has no command to run`);
    await endEarlier(handle);
    const child = spawn(file, args, {
      cwd,
      env: childEnvironment(env),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    await started(child, file, cwd);
    this.#child = child;
    this.#stopping = false;
    this.#injected.clear();
    const pid = child.pid!;
    this.#state = { state: 'running', pid };
    this.#listen(child);
    this.#spec.saveHandle(JSON.stringify({ pid, startedAt: await startedAt(pid) }));
  }

  #listen(child: Child): void {
    const out = new LineCutter(LIMITS.lineBytes);
    const err = new LineCutter(LIMITS.lineBytes);
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk, (line) => this.#onLine(child, line)));
    child.stdout.on('end', () => out.end((line) => this.#onLine(child, line)));
    const note = (line: string | undefined) => this.#log.write(line ?? '(a line that was too long)');
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk, note));
    child.stderr.on('end', () => err.end(note));
    child.stdin.on('error', () => undefined);
    child.stdin.on('drain', () => this.#throttle(child));
    // Not 'close': a grandchild may hold the pipes for ever.
    child.on('exit', (code) => {
      // What the program started ends with it; now, while its number cannot be anybody else's.
      void endGroup(child.pid!);
      this.#state = { state: 'exited', ...(code === null ? {} : { exitCode: code }) };
      for (const wake of this.#waiting.values()) wake();
      if (this.#stopping) return;
      for (const listener of this.#listeners) listener(this.#state);
    });
  }

  #onLine(child: Child, text: string | undefined): void {
    if (text === undefined) {
      this.#log.write('(a line that was too long)');
      const fault = `a line is longer than ${LIMITS.lineBytes} bytes`;
      this.#answer(child, errorLine(undefined, invalidLine(fault)));
      return;
    }
    const line = readProgramLine(text);
    if (line.type === 'ack') this.#onAck(line.id, text);
    else if (line.type === 'send') void this.#onSend(child, line);
    else if (line.type === 'invalid') this.#answer(child, errorLine(line.ref, invalidLine(line.fault)));
    else this.#log.write(text);
  }

  #onAck(id: string, line: string): void {
    if (!this.#injected.has(id)) return;
    this.#injected.set(id, evidenceOf(line));
    this.#waiting.get(id)?.();
  }

  /** Sends start in the order of the program's lines and are answered as they are done. */
  async #onSend(child: Child, line: Extract<ProgramLine, { type: 'send' }>): Promise<void> {
    this.#sends++;
    this.#throttle(child);
    let answer: string;
    try {
      answer = sentLine(line.ref, (await this.#spec.send(line.outgoing)).id);
    } catch (error) {
      answer = errorLine(line.ref, error);
    }
    this.#sends--;
    this.#answer(child, answer);
  }

  #answer(child: Child, answer: string): void {
    if (child.stdin.writable) child.stdin.write(answer);
    this.#throttle(child);
  }

  /** A program that sends without reading the answers is not read either. */
  #throttle(child: Child): void {
    const full = this.#sends >= LIMITS.sends || child.stdin.writableLength >= LIMITS.inputBytes / 2;
    if (full) child.stdout.pause();
    else if (child.stdout.isPaused()) child.stdout.resume();
  }

  async inject(message: InjectedMessage): Promise<void> {
    const child = this.#child;
    const { name } = this.#spec;
    if (child === undefined || this.#state.state === 'exited' || !child.stdin.writable)
      throw new FleetwireError('unavailable', 'PROGRAM_EXITED', `${name} does not run`);
    const line = messageLine(message);
    if (child.stdin.writableLength + line.length > LIMITS.inputBytes)
      throw new FleetwireError(
        'resource_exhausted',
        'PROGRAM_NOT_READING',
        `${name} does not read its input`,
        {
          retryAfterMs: 1000,
        },
      );
    this.#injected.set(message.id, undefined);
    keepNewest(this.#injected, LIMITS.acks);
    child.stdin.write(line);
  }

  async observe(message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof> {
    const acked = () => this.#injected.get(message.id) !== undefined;
    if (!acked() && this.#state.state === 'running' && !signal.aborted) {
      const woken = new AbortController();
      this.#waiting.set(message.id, () => woken.abort());
      await pause(timeoutMs, AbortSignal.any([signal, woken.signal]));
      this.#waiting.delete(message.id);
    }
    return this.recover(message);
  }

  /** An acknowledgement wakes, so that waiting for long costs nothing. */
  observeLate(message: InjectedMessage, timeoutMs: number, signal: AbortSignal): Promise<Proof> {
    return this.observe(message, timeoutMs, signal);
  }

  async recover(message: InjectedMessage): Promise<Proof> {
    const { state, pid } = this.#state;
    const matched = this.#injected.get(message.id);
    if (matched !== undefined) {
      this.#injected.delete(message.id);
      const evidence = `acknowledged by the program${pid ? ` (process ${pid})` : ''}`;
      return { kind: 'confirmed', evidence, matched };
    }
    if (!this.#injected.has(message.id))
      return unproven('NOT_ACKNOWLEDGED', 'the program that was given it no longer runs');
    if (state === 'exited') return unproven('PROGRAM_EXITED', 'the program ended without acknowledging it');
    const left = this.#child?.stdin.writableLength ?? 0;
    const unread = left > 0 ? `; ${left} bytes wait for it to read its input` : '';
    const detail = `the program has not acknowledged it${unread}`;
    return { kind: 'unproven', reason: 'NOT_ACKNOWLEDGED', detail, pending: true };
  }

  programState(): ProgramState {
    return this.#state;
  }

  onExit(listener: (state: ProgramState) => void): void {
    this.#listeners.push(listener);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid !== undefined && this.#state.state === 'running') {
      this.#stopping = true;
      child.stdin.end();
      await endGroup(child.pid);
    }
    this.#state = { state: 'exited' };
    this.#log.close();
  }
}

const unproven = (reason: string, detail: string): Proof => ({ kind: 'unproven', reason, detail });

function invalidLine(fault: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_LINE', fault, {
    help: 'Write lines like {"type":"send","to":"bob","body":"hello","ref":1}.',
  });
}

function started(child: Child, file: string, cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(
        new FleetwireError(
          'failed_precondition',
          'PROGRAM_NOT_STARTED',
          `cannot start ${file}: ${cause.message}`,
          {
            help: `Check that ${file} is installed and that the folder ${cwd} exists.`,
            cause,
          },
        ),
      ),
    );
  });
}

async function endEarlier(handle: string): Promise<void> {
  if (handle === '') return;
  const earlier = JSON.parse(handle) as { pid?: number; startedAt?: string };
  if (earlier.pid === undefined || earlier.startedAt === undefined) return;
  if ((await startedAt(earlier.pid)) === earlier.startedAt) await endGroup(earlier.pid);
}
