/** What one session says to the node: hello, then acknowledgements and sends, as much in a frame as is waiting. */

import type { AttachHello, AttachRequest } from '@fleetwire/gen/node';
import type { Inbox } from './inbox.ts';
import type { SendQueue } from './send-queue.ts';

export class Requests implements AsyncIterable<AttachRequest>, AsyncIterator<AttachRequest> {
  readonly #inbox: Inbox;
  readonly #sends: SendQueue;
  #hello: AttachHello | undefined;
  #welcomed = false;
  #closing = false;
  #waiting: ((result: IteratorResult<AttachRequest>) => void) | undefined;
  #scheduled = false;

  constructor(hello: AttachHello, inbox: Inbox, sends: SendQueue) {
    this.#hello = hello;
    this.#inbox = inbox;
    this.#sends = sends;
    inbox.onWork = sends.onWork = () => this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<AttachRequest> {
    return this;
  }

  /** The node has answered: the rest may go. */
  welcome(): void {
    this.#welcomed = true;
    this.#wake();
  }

  /** Ends after what is waiting. */
  close(): void {
    this.#closing = true;
    this.#wake();
  }

  next(): Promise<IteratorResult<AttachRequest>> {
    const ready = this.#ready();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  return(): Promise<IteratorResult<AttachRequest>> {
    this.#welcomed = false;
    this.#closing = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  #ready(): IteratorResult<AttachRequest> | undefined {
    if (this.#hello !== undefined) {
      const value = { hello: this.#hello };
      this.#hello = undefined;
      return { done: false, value };
    }
    if (this.#welcomed) {
      if (this.#inbox.hasAck) return { done: false, value: { ack: this.#inbox.takeAck() } };
      if (this.#sends.hasUnsent) return { done: false, value: { send: { messages: this.#sends.take() } } };
    }
    return this.#closing ? { done: true, value: undefined } : undefined;
  }

  /** At the end of this turn of the event loop: what else is sent or acknowledged in it shares the frame. */
  #wake(): void {
    if (this.#waiting === undefined || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const ready = this.#waiting && this.#ready();
      if (ready === undefined) return;
      const resolve = this.#waiting!;
      this.#waiting = undefined;
      resolve(ready);
    });
  }
}
