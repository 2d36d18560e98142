/** What became of the messages that this node's agents have sent: kept for a while, told to those who wait. */

import { completeReceipt } from '@fleetwire/contract';
import { type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';
import { Deque } from '../domain/deque.ts';

export interface ProgressBounds {
  readonly messages: number;
  readonly waits: number;
}

export type ReceiptListener = (receipts: readonly Receipt[]) => void;

/** Bytes of receipts that are kept as they came while nobody listens. */
const LATER_BYTES = 8 * 1024 * 1024;
/** What a receipt in memory is taken to have. */
const RECEIPT_BYTES = 1024;

interface Batch {
  /** The last token of the subject on which they came. */
  readonly publisher: string;
  /** Encoded, when nobody had to read them yet. */
  readonly receipts: Uint8Array | readonly Receipt[];
}

/** Receipts are decoded and sorted only once somebody wants to know. */
export class Progress {
  readonly #self: string;
  readonly #bounds: ProgressBounds;
  /** By message id, then recipient; the oldest messages go first. */
  readonly #known = new Map<string, Map<string, Receipt>>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #listeners = new Map<number, Set<ReceiptListener>>();
  readonly #numOf: (agentId: string) => number | undefined;
  readonly #order = new Deque<string>();
  readonly #later = new Deque<Batch>();
  #laterBytes = 0;
  #waits = 0;

  /** `self`: this node's id. */
  constructor(self: string, bounds: ProgressBounds, numOf: (agentId: string) => number | undefined) {
    this.#self = self;
    this.#bounds = bounds;
    this.#numOf = numOf;
  }

  /** One encoded ReceiptBatch as it came from the broker. */
  hear(publisher: string, receipts: Uint8Array): void {
    this.#take({ publisher, receipts });
  }

  /** Receipts of this node itself. */
  absorb(receipts: readonly Receipt[]): void {
    this.#take({ publisher: this.#self, receipts });
  }

  #take(batch: Batch): void {
    if (this.#waits > 0 || this.#listeners.size > 0) {
      this.#sort(batch);
      return;
    }
    this.#later.push(batch);
    this.#laterBytes += bytesOf(batch);
    while (this.#laterBytes > LATER_BYTES) this.#laterBytes -= bytesOf(this.#later.shift()!);
  }

  #sort({ publisher, receipts: told }: Batch): void {
    const receipts = told instanceof Uint8Array ? ReceiptBatch.decode(told).receipts : told;
    const perAgent = new Map<number, Receipt[]>();
    for (const receipt of receipts) {
      if (!this.#keep(completeReceipt(receipt, publisher))) continue;
      const waiters = this.#waiting.get(receipt.messageId);
      if (waiters !== undefined) for (const wake of waiters) wake();
      if (this.#listeners.size === 0) continue;
      const num = this.#numOf(receipt.fromAgent);
      if (num === undefined || !this.#listeners.has(num)) continue;
      const list = perAgent.get(num);
      if (list === undefined) perAgent.set(num, [receipt]);
      else list.push(receipt);
    }
    for (const [num, list] of perAgent) for (const listen of this.#listeners.get(num)!) listen(list);
  }

  /** All receipts about what one agent sends, from now on. */
  listen(agent: number, listener: ReceiptListener): () => void {
    this.#catchUp();
    const set = this.#listeners.get(agent) ?? new Set();
    this.#listeners.set(agent, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0) this.#listeners.delete(agent);
    };
  }

  /** The receipts so far, and whether each known recipient's is final. */
  of(id: string): { receipts: Receipt[]; final: boolean } {
    this.#catchUp();
    const receipts = [...(this.#known.get(id)?.values() ?? [])];
    return { receipts, final: receipts.length > 0 && receipts.every((receipt) => receipt.final) };
  }

  /** Resolves once the message has ended for each known recipient, at the time-out, or when `signal` aborts. */
  wait(id: string, timeoutMs: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.#waits >= this.#bounds.waits) return undefined;
    if (this.of(id).final || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const set = this.#waiting.get(id) ?? new Set();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        set.delete(look);
        if (set.size === 0) this.#waiting.delete(id);
        this.#waits--;
        resolve();
      };
      const look = () => {
        if (this.of(id).final) done();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.set(id, set.add(look));
      this.#waits++;
    });
  }

  #catchUp(): void {
    this.#laterBytes = 0;
    for (let batch = this.#later.shift(); batch !== undefined; batch = this.#later.shift()) this.#sort(batch);
  }

  /** False when the receipt brings nothing new: the first end holds, unless proof comes after it. */
  #keep(receipt: Receipt): boolean {
    const { messageId, recipient } = receipt;
    let recipients = this.#known.get(messageId);
    const before = recipients?.get(recipient);
    if (before?.final && !(receipt.final && isUpgrade(before.stage, receipt.stage))) return false;
    if (recipients === undefined) {
      recipients = new Map();
      this.#known.set(messageId, recipients);
      this.#order.push(messageId);
      if (this.#order.length > this.#bounds.messages) this.#known.delete(this.#order.shift()!);
    }
    recipients.set(recipient, receipt);
    return true;
  }
}

function bytesOf({ receipts }: Batch): number {
  return receipts instanceof Uint8Array ? receipts.length : receipts.length * RECEIPT_BYTES;
}

function isUpgrade(before: Stage, after: Stage): boolean {
  return after === Stage.CONFIRMED && before !== Stage.CONFIRMED && before !== Stage.DEAD;
}
