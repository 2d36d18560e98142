/** Sent messages until the node has accepted or refused them: bounded, in order, sent again after a reconnect. */

import { type AcceptedRef, Outgoing, type SendRefused } from '@fleetwire/gen/node';
import { ERROR_KINDS, type ErrorKind, FleetwireError } from '@fleetwire/kernel';
import { SDK_LIMITS } from './limits.ts';

export type Settle = (error: FleetwireError | undefined) => void;

interface Pending {
  readonly outgoing: Outgoing;
  readonly settle: Settle;
}

/** What a message counts for besides its body. */
const HEAD_BYTES = 256;

export class SendQueue {
  /** Called when there is something to send. */
  onWork: () => void = () => {};
  #unsent: Pending[] = [];
  #head = 0;
  /** By the session's refs, in order. */
  #unanswered = new Map<number, Pending>();
  #ref = 0;
  #count = 0;
  #bytes = 0;
  /** Beyond the bounds: not yet among what is sent. */
  #waiting: Pending[] = [];
  #waitingHead = 0;
  #drained: (() => void)[] = [];
  #failed: FleetwireError | undefined;

  get size(): number {
    return this.#count + this.#waiting.length - this.#waitingHead;
  }

  get hasUnsent(): boolean {
    return this.#head < this.#unsent.length;
  }

  /** `settle` is called once. False: there is no room now; a caller with more to send awaits room() first. */
  add(outgoing: Outgoing, settle: Settle): boolean {
    const pending = { outgoing, settle };
    if (this.#failed !== undefined) settle(this.#failed);
    else if (this.#waitingHead === this.#waiting.length && this.#hasRoom()) {
      this.#admit(pending);
      this.onWork();
      return true;
    } else if (this.#waiting.length - this.#waitingHead >= SDK_LIMITS.waitingSends) settle(tooMany());
    else this.#waiting.push(pending);
    return false;
  }

  /** Resolves when nothing waits for room any more. */
  room(): Promise<void> {
    if (this.#failed !== undefined || this.#waitingHead === this.#waiting.length) return Promise.resolve();
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
    while (this.hasUnsent && frame.length < SDK_LIMITS.frameMessages) {
      const pending = this.#unsent[this.#head]!;
      bytes += pending.outgoing.body.length;
      if (frame.length > 0 && bytes > SDK_LIMITS.frameBytes) break;
      this.#head++;
      pending.outgoing.ref = ++this.#ref;
      this.#unanswered.set(this.#ref, pending);
      frame.push(pending.outgoing);
    }
    if (!this.hasUnsent) {
      this.#unsent = [];
      this.#head = 0;
    }
    return frame;
  }

  /** A new session: what was not answered goes out again, first and in order, with the same ids. */
  restart(): void {
    this.#endUnencodable();
    this.#unsent = [...this.#unanswered.values(), ...this.#unsent.slice(this.#head)];
    this.#head = 0;
    this.#unanswered = new Map();
    this.#ref = 0;
    this.#fill();
  }

  /** What cannot be encoded has ended the session before, and would end each one that follows. */
  #endUnencodable(): void {
    for (const [ref, { outgoing }] of this.#unanswered) {
      try {
        Outgoing.encode(outgoing);
      } catch (cause) {
        this.#settle(ref, unencodable(cause));
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
    const unsent = [...this.#unsent.slice(this.#head), ...this.#waiting.slice(this.#waitingHead)];
    const left = [...this.#unanswered.values(), ...unsent];
    this.#unanswered = new Map();
    this.#unsent = [];
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#clearWaiting();
    for (const { settle } of left) settle(error);
  }

  #settle(ref: number, error: FleetwireError | undefined): void {
    const pending = this.#unanswered.get(ref);
    if (pending === undefined) return;
    this.#unanswered.delete(ref);
    this.#count--;
    this.#bytes -= pending.outgoing.body.length + HEAD_BYTES;
    pending.settle(error);
  }

  /** Lets those that wait follow, in their order. */
  #fill(): void {
    const before = this.#waitingHead;
    while (this.#waitingHead < this.#waiting.length && this.#hasRoom())
      this.#admit(this.#waiting[this.#waitingHead++]!);
    if (this.#waitingHead === before) return;
    if (this.#waitingHead === this.#waiting.length) this.#clearWaiting();
    this.onWork();
  }

  #clearWaiting(): void {
    this.#waiting = [];
    this.#waitingHead = 0;
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
