/** Sent messages until the node has accepted or refused them: bounded, in order, sent again after a reconnect. */

import { type AcceptedRef, Outgoing, type SendRefused } from '@fleetwire/gen/node';
import { Deque, ERROR_KINDS, type ErrorKind, FleetwireError } from '@fleetwire/kernel';
import { SDK_LIMITS } from './limits.ts';

export type Settle = (error: FleetwireError | undefined) => void;

interface Pending {
  readonly outgoing: Outgoing;
  readonly settle: Settle;
  /** In this session or an earlier one. */
  sent: boolean;
  /** A reference that is still in some queue is to be passed over. */
  settled: boolean;
}

/** What a message counts for besides its body. */
const HEAD_BYTES = 256;

export class SendQueue {
  /** Called when there is something to send. */
  onWork: () => void = () => {};
  readonly #unsent = new Deque<Pending>();
  /** In the order of the session's refs, which count on by one; the head is always one that waits for its answer. */
  readonly #unanswered = new Deque<Pending>();
  /** Of the last one that was sent. */
  #ref = 0;
  #count = 0;
  #bytes = 0;
  /** Beyond the bounds: not yet among what is sent. */
  readonly #waiting = new Deque<Pending>();
  #drained: (() => void)[] = [];
  #failed: FleetwireError | undefined;

  get size(): number {
    return this.#count + this.#waiting.length;
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** `settle` is called once. False: there is no room now; a caller with more to send awaits room() first. */
  add(outgoing: Outgoing, settle: Settle): boolean {
    const pending = { outgoing, settle, sent: false, settled: false };
    if (this.#failed !== undefined) settle(this.#failed);
    else if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#admit(pending);
      this.onWork();
      return true;
    } else if (this.#waiting.length >= SDK_LIMITS.waitingSends) settle(tooMany());
    else this.#waiting.push(pending);
    return false;
  }

  /** Resolves when nothing waits for room any more. */
  room(): Promise<void> {
    if (this.#failed !== undefined || this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  #hasRoom(): boolean {
    return this.#count < SDK_LIMITS.pendingMessages && this.#bytes < SDK_LIMITS.pendingBytes;
  }

  #admit(pending: Pending): void {
    this.#count++;
    this.#bytes += pending.outgoing.body.length + HEAD_BYTES;
    this.#unsent.push(pending);
  }

  /** The next frame's messages; none when all was sent. */
  take(): Outgoing[] {
    const frame: Outgoing[] = [];
    let bytes = 0;
    while (frame.length < SDK_LIMITS.frameMessages) {
      const pending = this.#unsent.at(0);
      if (pending === undefined) break;
      bytes += pending.outgoing.body.length;
      if (frame.length > 0 && bytes > SDK_LIMITS.frameBytes) break;
      this.#unsent.shift();
      pending.outgoing.ref = ++this.#ref;
      pending.sent = true;
      this.#unanswered.push(pending);
      frame.push(pending.outgoing);
    }
    return frame;
  }

  /** A new session: what was not answered goes out again, first and in order, with the same ids. */
  restart(): void {
    this.#endUnencodable();
    const unsent = this.#unsent.takeAll();
    for (const pending of [...this.#takeUnanswered(), ...unsent]) this.#unsent.push(pending);
    this.#ref = 0;
    this.#fill();
  }

  /** What cannot be encoded has ended the session before, and would end each one that follows. */
  #endUnencodable(): void {
    for (const pending of this.#takeUnanswered()) {
      try {
        Outgoing.encode(pending.outgoing);
        this.#unanswered.push(pending);
      } catch (cause) {
        this.#end(pending, unencodable(cause));
      }
    }
  }

  accepted(refs: readonly AcceptedRef[]): void {
    for (const { ref } of refs) this.#settle(ref, undefined);
    this.#fill();
  }

  refused(refusal: SendRefused): void {
    const { ref, kind, reason, message, help, retryAfterMs } = refusal;
    const known = (ERROR_KINDS as readonly string[]).includes(kind) ? (kind as ErrorKind) : 'internal';
    const error = new FleetwireError(known, reason, message, {
      ...(help === '' ? {} : { help }),
      ...(retryAfterMs === 0 ? {} : { retryAfterMs }),
    });
    this.#settle(ref, error);
    this.#fill();
  }

  /** Nothing is sent any more: all that waits ends with `error`. */
  fail(error: FleetwireError): void {
    this.#failed = error;
    const left = [...this.#takeUnanswered(), ...this.#unsent.takeAll(), ...this.#waiting.takeAll()];
    this.#count = 0;
    this.#bytes = 0;
    this.#letGo();
    for (const { settle } of left) settle(error);
  }

  #settle(ref: number, error: FleetwireError | undefined): void {
    const pending = this.#unanswered.at(ref - 1 - this.#ref + this.#unanswered.length);
    if (pending === undefined || pending.settled) return;
    this.#end(pending, error);
    while (this.#unanswered.at(0)?.settled) this.#unanswered.shift();
  }

  /** Takes one back that was not sent yet: it ends without being settled. False: it may have been sent. */
  withdraw(outgoing: Outgoing): boolean {
    const is = (pending: Pending) => pending.outgoing === outgoing && !pending.sent;
    if (this.#waiting.take(is).length > 0) {
      if (this.#waiting.length === 0) this.#letGo();
      return true;
    }
    if (this.#unsent.take(is).length === 0) return false;
    this.#count--;
    this.#bytes -= outgoing.body.length + HEAD_BYTES;
    this.#fill();
    return true;
  }

  #takeUnanswered(): Pending[] {
    return this.#unanswered.takeAll().filter(({ settled }) => !settled);
  }

  #end(pending: Pending, error: FleetwireError | undefined): void {
    pending.settled = true;
    this.#count--;
    this.#bytes -= pending.outgoing.body.length + HEAD_BYTES;
    pending.settle(error);
  }

  /** Lets those that wait follow, in their order. */
  #fill(): void {
    if (this.#waiting.length === 0 || !this.#hasRoom()) return;
    while (this.#waiting.length > 0 && this.#hasRoom()) this.#admit(this.#waiting.shift()!);
    if (this.#waiting.length === 0) this.#letGo();
    this.onWork();
  }

  /** Nothing waits for room any more. */
  #letGo(): void {
    const drained = this.#drained;
    this.#drained = [];
    for (const go of drained) go();
  }
}

function unencodable(cause: unknown): FleetwireError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new FleetwireError('invalid_argument', 'INVALID_MESSAGE', `the message cannot be encoded: ${why}`, {
    help: 'Check the types of its fields.',
    cause,
  });
}

function tooMany(): FleetwireError {
  const { waitingSends } = SDK_LIMITS;
  return new FleetwireError('resource_exhausted', 'SEND_BUFFER_FULL', `${waitingSends} sends wait already`, {
    help: 'Await send() before sending more.',
    retryAfterMs: 100,
  });
}
