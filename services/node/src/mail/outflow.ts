/** What goes out on one stream: a queue that an async generator empties, with acceptances gathered into one answer. */

import type { AcceptedRef, AttachResponse } from '@fleetwire/gen/node';
import { Deque } from '@fleetwire/kernel';

/** References of accepted messages that weigh as much as one answer. */
const REFS_OF_AN_ANSWER = 16;

export class Outflow {
  /** Asked for more whenever all that was pushed is out; undefined: nothing to say at the moment. */
  feed: (() => AttachResponse | undefined) | undefined;
  readonly #queue = new Deque<AttachResponse>();
  #wake: (() => void) | undefined;
  #ended = false;
  /** Of messages whose acceptance waits to be told. */
  #refs = 0;
  #offered = 0;
  #taken = 0;

  /** Answers that wait. */
  get length(): number {
    return this.#queue.length + Math.floor(this.#refs / REFS_OF_AN_ANSWER);
  }

  get ended(): boolean {
    return this.#ended;
  }

  push(response: AttachResponse): void {
    if (this.#ended) return;
    this.#queue.push(response);
    this.#wake?.();
  }

  accepted(refs: AcceptedRef[]): void {
    if (this.#ended) return;
    this.#refs += refs.length;
    const last = this.#queue.at(this.#queue.length - 1);
    if (last?.accepted === undefined) this.push({ accepted: { accepted: refs } });
    else last.accepted.accepted.push(...refs);
  }

  /** The feed has something. */
  fed(): void {
    this.#wake?.();
  }

  /** What was pushed before still goes out. */
  end(): void {
    this.#ended = true;
    this.feed = undefined;
    this.#wake?.();
  }

  /** Drops what waits: only this goes out, should the client read again. */
  cut(last: AttachResponse): void {
    this.#queue.clear();
    this.#refs = 0;
    if (!this.#ended) this.push(last);
    this.end();
  }

  /** Answers that the stream has taken so far. */
  get taken(): number {
    return this.#taken;
  }

  /** One was given to the stream, which has not taken it yet: what came before it is not read. */
  get heldUp(): boolean {
    return this.#offered > this.#taken;
  }

  async *responses(): AsyncGenerator<AttachResponse> {
    for (;;) {
      const next = this.#queue.shift() ?? this.feed?.();
      if (next !== undefined) {
        // Held up by gRPC as long as the client's windows and the buffers before them are full.
        this.#refs -= next.accepted?.accepted.length ?? 0;
        this.#offered++;
        yield next;
        this.#taken++;
        continue;
      }
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
