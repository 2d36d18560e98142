/** Gathers the receipts of one turn and writes them, one row per sending node, in the turn's own transaction. */

import { isSubjectToken, LIMITS } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { type Receipt, ReceiptBatch } from '@fleetwire/gen/message';
import type { ReceiptRow, ReceiptTable } from '../store/receipt-table.ts';
import type { Turns } from '../store/turns.ts';

export interface ReceiptEffects {
  /** A row that the broker is to have. */
  publish(row: ReceiptRow): void;
  /** Receipts about mail of this node's own agents. */
  own(receipts: readonly Receipt[]): void;
}

/** Far below LIMITS.packBytes: a receipt has about 400 bytes. */
const RECEIPTS_PER_ROW = Math.floor(LIMITS.packBytes / 1024);

export class ReceiptDesk {
  readonly #self: string;
  readonly #table: ReceiptTable;
  readonly #turns: Turns;
  readonly #effects: ReceiptEffects;
  #pending = new Map<string, Receipt[]>();
  #own: Receipt[] = [];

  constructor(self: string, table: ReceiptTable, turns: Turns, effects: ReceiptEffects) {
    this.#self = self;
    this.#table = table;
    this.#turns = turns;
    this.#effects = effects;
  }

  /**
   * Inside a turn. `history`: false for mail that history does not know either. Envelopes say whose they are, and not all of
   * them came through a router: what names no node can be told to nobody, and must not come to where subjects are made.
   */
  add(toNode: string, receipt: Receipt, history: boolean): void {
    if (!isSubjectToken(toNode)) return;
    if (toNode === this.#self) this.#own.push(receipt);
    if (!history) return;
    const list = this.#pending.get(toNode);
    if (list === undefined) this.#pending.set(toNode, [receipt]);
    else list.push(receipt);
  }

  /** At the end of a turn, before its commit. */
  write(): void {
    for (const [toNode, receipts] of this.#pending) {
      for (let i = 0; i < receipts.length; i += RECEIPTS_PER_ROW) {
        const part = receipts.slice(i, i + RECEIPTS_PER_ROW);
        const row = this.#table.insert(toNode, encode(ReceiptBatch, { receipts: part }));
        this.#turns.after(() => this.#effects.publish(row));
      }
    }
    if (this.#pending.size > 0) this.#pending = new Map();
    if (this.#own.length === 0) return;
    const own = this.#own;
    this.#own = [];
    this.#turns.after(() => this.#effects.own(own));
  }
}
