/** What becomes of questions, for the sessions of those who ask: so that nobody waits for an answer that cannot come. */

import { completeReceipt } from '@fleetwire/contract';
import type { Envelope, Receipt } from '@fleetwire/gen/message';
import { type Clock, keepNewest } from '@fleetwire/kernel';
import { type Progress, type ReceiptListener, receiptsIn, type Sift } from './progress.ts';

export interface AskWatchParts {
  /** This node's id. */
  readonly node: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly progress: Pick<Progress, 'of'>;
  readonly sift: Sift;
}

interface Question {
  readonly agent: number;
  readonly untilMs: number;
}

/** Of all agents together; beyond, the oldest are told no more, and end by time. */
const QUESTIONS_MAX = 65_536;

/** Receipts of other nodes are looked at only while somebody waits for an answer. */
export class AskWatch {
  readonly #parts: AskWatchParts;
  /** By message id, oldest first. */
  readonly #open = new Map<string, Question>();
  readonly #followers = new Map<number, Set<ReceiptListener>>();

  constructor(parts: AskWatchParts) {
    this.#parts = parts;
  }

  get open(): number {
    return this.#open.size;
  }

  asked(agent: number, { id, answerWithinMs }: Pick<Envelope, 'id' | 'answerWithinMs'>): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#forgetLate(nowMs);
    this.#open.set(id, { agent, untilMs: nowMs + answerWithinMs });
    keepNewest(this.#open, QUESTIONS_MAX);
  }

  /** Tells what has become of this agent's open questions, and from now on what becomes of them. */
  follow(agent: number, listener: ReceiptListener): () => void {
    const set = this.#followers.get(agent) ?? new Set();
    this.#followers.set(agent, set.add(listener));
    const ids = [...this.#open].filter(([, question]) => question.agent === agent).map(([id]) => id);
    const known = ids.flatMap((id) => this.#parts.progress.of(id).receipts);
    if (known.length > 0) listener(known);
    return () => {
      set.delete(listener);
      if (set.size === 0) this.#followers.delete(agent);
    };
  }

  /** One encoded ReceiptBatch as it came from the broker. */
  hear(publisher: string, encoded: Uint8Array): void {
    if (this.#open.size === 0) return;
    const late = (receipts: readonly Receipt[]) => this.#tell(publisher, receipts);
    this.#tell(publisher, this.#parts.sift(publisher, receiptsIn(encoded), late));
  }

  /** Receipts of this node itself. */
  own(receipts: readonly Receipt[]): void {
    if (this.#open.size > 0) this.#tell(this.#parts.node, receipts);
  }

  #tell(publisher: string, receipts: readonly Receipt[]): void {
    for (const receipt of receipts) {
      const question = this.#open.get(receipt.messageId);
      if (question === undefined) continue;
      const followers = this.#followers.get(question.agent);
      if (followers === undefined) continue;
      const told = [completeReceipt(receipt, publisher)];
      for (const listener of followers) listener(told);
      // From here on only an answer is of interest, or the time.
      if (receipt.final) this.#open.delete(receipt.messageId);
    }
  }

  /** The first ones whose time is over; what is behind one that waits longer is found later. */
  #forgetLate(nowMs: number): void {
    for (const [id, { untilMs }] of this.#open) {
      if (untilMs > nowMs) return;
      this.#open.delete(id);
    }
  }
}
