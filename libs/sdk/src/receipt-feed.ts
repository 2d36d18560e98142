/** Receipts that wait to be read, bounded: the oldest go first, and are counted. */

import type { Receipt } from '@fleetwire/gen/message';
import type { ReceiptCursor, ReceiptMark } from '@fleetwire/gen/node';
import { Deque } from '@fleetwire/kernel';
import { SDK_LIMITS } from './limits.ts';

export class ReceiptFeed {
  /** How many were dropped because nobody read them. */
  dropped = 0;
  /** How many the node did not have any more when this client came back for them. */
  missed = 0;
  /** Where the node is to go on. */
  cursor: ReceiptCursor | undefined;
  readonly #waiting = new Deque<Receipt>();
  #readers: ((receipt: Receipt | undefined) => void)[] = [];
  #ended = false;

  mark({ cursor, missed }: ReceiptMark): void {
    this.cursor = cursor;
    this.missed += missed;
  }

  push(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) {
      const reader = this.#readers.shift();
      if (reader !== undefined) reader(receipt);
      else this.#waiting.push(receipt);
    }
    for (; this.#waiting.length > SDK_LIMITS.receipts; this.dropped++) this.#waiting.shift();
  }

  next(): Promise<Receipt | undefined> {
    const receipt = this.#waiting.shift();
    if (receipt !== undefined) return Promise.resolve(receipt);
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader(undefined);
    this.#readers = [];
  }
}
