/** What goes out on one stream: a queue that an async generator empties, with acceptances gathered into one answer. */

import type { AcceptedRef, AttachResponse } from '@fleetwire/gen/node';

export class Outflow {
  #queue: AttachResponse[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  get length(): number {
    return this.#queue.length;
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
    const last = this.#queue.at(-1);
    if (last?.accepted === undefined) this.push({ accepted: { accepted: refs } });
    else last.accepted.accepted.push(...refs);
  }

  /** What was pushed before still goes out. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *responses(): AsyncGenerator<AttachResponse> {
    for (;;) {
      const ready = this.#queue;
      this.#queue = [];
      yield* ready;
      if (this.#queue.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
