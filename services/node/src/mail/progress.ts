/** What became of the messages that this node's agents have sent: kept for a while, told to those who wait. */

import { type Receipt, ReceiptBatch, Stage } from '@fleetwire/gen/message';

export interface ProgressBounds {
  readonly messages: number;
  readonly waits: number;
}

export type ReceiptListener = (receipts: readonly Receipt[]) => void;

/** Bytes of receipts that are kept undecoded while nobody listens. */
const RAW_BYTES = 8 * 1024 * 1024;

/** Receipts are decoded only once somebody wants to know. */
export class Progress {
  readonly #bounds: ProgressBounds;
  /** By message id, then recipient; the oldest messages go first. */
  readonly #known = new Map<string, Map<string, Receipt>>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #listeners = new Map<number, Set<ReceiptListener>>();
  readonly #numOf: (agentId: string) => number | undefined;
  #raw: Uint8Array[] = [];
  #rawBytes = 0;
  #waits = 0;

  constructor(bounds: ProgressBounds, numOf: (agentId: string) => number | undefined) {
    this.#bounds = bounds;
    this.#numOf = numOf;
  }

  /** One encoded ReceiptBatch as it came from the broker. */
  hear(encoded: Uint8Array): void {
    if (this.#waits === 0 && this.#listeners.size === 0) {
      this.#raw.push(encoded);
      this.#rawBytes += encoded.length;
      while (this.#rawBytes > RAW_BYTES) this.#rawBytes -= this.#raw.shift()!.length;
    } else this.absorb(ReceiptBatch.decode(encoded).receipts);
  }

  absorb(receipts: readonly Receipt[]): void {
    const perAgent = new Map<number, Receipt[]>();
    for (const receipt of receipts) {
      if (!this.#keep(receipt)) continue;
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
    this.#decodeRaw();
    const set = this.#listeners.get(agent) ?? new Set();
    this.#listeners.set(agent, set.add(listener));
    return () => {
      set.delete(listener);
      if (set.size === 0) this.#listeners.delete(agent);
    };
  }

  /** The receipts so far, and whether each known recipient's is final. */
  of(id: string): { receipts: Receipt[]; final: boolean } {
    this.#decodeRaw();
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

  #decodeRaw(): void {
    if (this.#raw.length === 0) return;
    const raw = this.#raw;
    this.#raw = [];
    this.#rawBytes = 0;
    for (const encoded of raw) this.absorb(ReceiptBatch.decode(encoded).receipts);
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
      if (this.#known.size > this.#bounds.messages) this.#known.delete(this.#known.keys().next().value!);
    }
    recipients.set(recipient, receipt);
    return true;
  }
}

function isUpgrade(before: Stage, after: Stage): boolean {
  return after === Stage.CONFIRMED && before !== Stage.CONFIRMED && before !== Stage.DEAD;
}
