/** Table `receipts`: what this node has to say about messages, until the broker has it. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';

export interface ReceiptRow {
  readonly seq: number;
  readonly toNode: string;
  /** One encoded ReceiptBatch. */
  readonly batch: Uint8Array;
}

export class ReceiptTable {
  readonly #insert: StatementSync;
  readonly #next: StatementSync;
  readonly #delete: StatementSync;
  readonly #targets: StatementSync;
  readonly #count: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT INTO receipts (to_node, batch) VALUES (?, ?)');
    this.#next = db.prepare(
      'SELECT seq, to_node AS toNode, batch FROM receipts WHERE to_node = ? AND seq > ? ORDER BY seq LIMIT ?',
    );
    this.#delete = db.prepare('DELETE FROM receipts WHERE to_node = ? AND seq BETWEEN ? AND ?');
    this.#targets = db.prepare('SELECT DISTINCT to_node AS toNode FROM receipts');
    this.#count = db.prepare('SELECT count(*) AS count FROM receipts');
  }

  insert(toNode: string, batch: Uint8Array): ReceiptRow {
    const seq = Number(this.#insert.run(toNode, batch).lastInsertRowid);
    return { seq, toNode, batch };
  }

  /** What waits for one node beyond `after`, oldest first. */
  next(toNode: string, after: number, limit: number): ReceiptRow[] {
    return this.#next.all(toNode, after, limit) as unknown as ReceiptRow[];
  }

  targets(): string[] {
    return (this.#targets.all() as { toNode: string }[]).map((row) => row.toNode);
  }

  /** What waited for one node between the two, both included. */
  delete(toNode: string, first: number, last: number): void {
    this.#delete.run(toNode, first, last);
  }

  count(): number {
    return (this.#count.get() as { count: number }).count;
  }
}
