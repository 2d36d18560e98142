/** Receipts that wait to be read, bounded: the oldest go first, and are counted. */

import type { Receipt } from '@fleetwire/gen/message';
import { SDK_LIMITS } from './limits.ts';

export class ReceiptFeed {
  /** How many were dropped because nobody read them. */
  dropped = 0;
  #waiting: Receipt[] = [];
  #head = 0;
  #readers: ((receipt: Receipt | undefined) => void)[] = [];
  #ended = false;

  push(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) {
      const reader = this.#readers.shift();
      if (reader !== undefined) reader(receipt);
      else this.#waiting.push(receipt);
    }
    const surplus = this.#waiting.length - this.#head - SDK_LIMITS.receipts;
    if (surplus <= 0) return;
    this.dropped += surplus;
    this.#waiting = this.#waiting.slice(this.#head + surplus);
    this.#head = 0;
  }

  next(): Promise<Receipt | undefined> {
    const receipt = this.#waiting[this.#head];
    if (receipt !== undefined) {
      this.#head++;
      if (this.#head === this.#waiting.length) {
        this.#waiting = [];
        this.#head = 0;
      }
      return Promise.resolve(receipt);
    }
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader(undefined);
    this.#readers = [];
  }
}
