/** The receipts that wait for one sending node: those just written in memory, older or too many on the disk. */

import type { ReceiptRow, ReceiptTable } from '../store/receipt-table.ts';

/** Bytes kept in memory for one sending node; beyond, the disk is read again. */
const MEMORY_BYTES = 1024 * 1024;
/** Rows read from the disk at once. */
const ROWS = 64;

export class ReceiptQueue {
  readonly #toNode: string;
  readonly #table: ReceiptTable;
  #fresh: ReceiptRow[] = [];
  #freshBytes = 0;
  /** All up to it were in memory already. */
  #seen = 0;
  /** The disk has rows beyond `seen`, or may have. */
  #behind = true;

  constructor(toNode: string, table: ReceiptTable) {
    this.#toNode = toNode;
    this.#table = table;
  }

  /** A row that was committed. */
  add(row: ReceiptRow): void {
    // While behind, the disk is read anyway; what was read in this very turn is here already.
    if (this.#behind || row.seq <= this.#seen) return;
    if (this.#freshBytes + row.batch.length > MEMORY_BYTES) this.#behind = true;
    else this.#push(row);
  }

  /** Takes the oldest rows out: one at least unless there is none, and no more than `bytes` of them beyond that. */
  take(bytes: number): ReceiptRow[] {
    if (this.#fresh.length === 0 && this.#behind) this.#read();
    let sum = 0;
    let count = 0;
    for (const { batch } of this.#fresh) {
      sum += batch.length;
      if (count > 0 && sum > bytes) break;
      count++;
    }
    const rows = this.#fresh.splice(0, count);
    for (const { batch } of rows) this.#freshBytes -= batch.length;
    return rows;
  }

  #read(): void {
    const rows = this.#table.next(this.#toNode, this.#seen, ROWS);
    for (const row of rows) this.#push(row);
    this.#behind = rows.length === ROWS;
  }

  #push(row: ReceiptRow): void {
    this.#fresh.push(row);
    this.#freshBytes += row.batch.length;
    this.#seen = row.seq;
  }
}
