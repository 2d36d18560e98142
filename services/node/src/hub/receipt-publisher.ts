/** Brings this node's receipts to the broker: per sending node in order, several rows as one batch. */

import type { Broker } from '@fleetwire/broker';
import { LIMITS, receiptSubject } from '@fleetwire/contract';
import type { FleetwireError } from '@fleetwire/kernel';
import type { ReceiptRow, ReceiptTable } from '../store/receipt-table.ts';
import type { Turns } from '../store/turns.ts';
import { OneInFlight, type Pack } from './one-in-flight.ts';

export interface ReceiptPublisherParts {
  readonly org: string;
  readonly node: string;
  readonly table: ReceiptTable;
  readonly turns: Turns;
  broker(): Broker | undefined;
  failed(error: FleetwireError): void;
}

type Carried = Pack & { readonly rows: readonly ReceiptRow[] };

/** Rows looked at for one batch. */
const ROWS = 64;

export class ReceiptPublisher {
  readonly #parts: ReceiptPublisherParts;
  /** One for each node that has ever sent mail to this one. */
  readonly #lines = new Map<string, OneInFlight<Carried>>();
  #stopped = false;

  constructor(parts: ReceiptPublisherParts) {
    this.#parts = parts;
  }

  /** A row for this node has been written. */
  publish(toNode: string): void {
    if (this.#stopped || this.#parts.broker()?.connected() !== true) return;
    let line = this.#lines.get(toNode);
    if (line === undefined) {
      line = this.#line(toNode);
      this.#lines.set(toNode, line);
    }
    line.kick();
  }

  /** After a start or a reconnect: everything that waits. */
  publishAll(): void {
    for (const line of this.#lines.values()) line.hurry();
    for (const toNode of this.#parts.table.targets()) this.publish(toNode);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#lines.values()].map((line) => line.stop()));
  }

  #line(toNode: string): OneInFlight<Carried> {
    const { broker, failed, table, turns } = this.#parts;
    // Rows are deleted a moment after they were stored: what is up to here has been.
    let after = 0;
    return new OneInFlight<Carried>({
      broker,
      failed,
      next: () => this.#next(toNode, after),
      stored: ({ rows }) => {
        after = rows.at(-1)!.seq;
        turns.add(() => {
          for (const row of rows) table.delete(row.seq);
        });
      },
    });
  }

  #next(toNode: string, after: number): Carried | undefined {
    const rows: ReceiptRow[] = [];
    let bytes = 0;
    for (const row of this.#parts.table.next(toNode, after, ROWS)) {
      bytes += row.batch.length;
      if (rows.length > 0 && bytes > LIMITS.packBytes) break;
      rows.push(row);
    }
    if (rows.length === 0) return undefined;
    const { org, node } = this.#parts;
    const subject = receiptSubject.build({ org, toNode, from: node });
    // Encoded messages with one repeated field, put one behind the other, are one message with all of them.
    const payload = rows.length === 1 ? rows[0]!.batch : Buffer.concat(rows.map((row) => row.batch));
    return { subject, payload, msgId: `${node}-r${rows[0]!.seq}-${rows.at(-1)!.seq}`, rows };
  }
}
