/** Brings this node's receipts to the broker: per sending node in order, several rows as one batch. */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { LIMITS, receiptSubject } from '@fleetwire/contract';
import type { FleetwireError } from '@fleetwire/kernel';
import type { ReceiptRow, ReceiptTable } from '../store/receipt-table.ts';
import type { Turns } from '../store/turns.ts';
import { OneInFlight, type Pack } from './one-in-flight.ts';
import { ReceiptQueue } from './receipt-queue.ts';

export interface ReceiptPublisherParts {
  readonly org: string;
  readonly node: string;
  readonly table: ReceiptTable;
  readonly turns: Turns;
  readonly ids: DedupeIds;
  broker(): Broker | undefined;
  failed(error: FleetwireError): void;
}

type Carried = Pack & { readonly rows: readonly ReceiptRow[] };

interface Line {
  readonly queue: ReceiptQueue;
  readonly publisher: OneInFlight<Carried>;
}

export class ReceiptPublisher {
  readonly #parts: ReceiptPublisherParts;
  /** One for each node that has ever sent mail to this one. */
  readonly #lines = new Map<string, Line>();
  #stopped = false;

  constructor(parts: ReceiptPublisherParts) {
    this.#parts = parts;
  }

  /** This row has been written. */
  publish(row: ReceiptRow): void {
    const line = this.#lineOf(row.toNode);
    line.queue.add(row);
    this.#kick(line);
  }

  /** After a start or a reconnect: everything that waits. */
  publishAll(): void {
    for (const { publisher } of this.#lines.values()) publisher.hurry();
    for (const toNode of this.#parts.table.targets()) this.#kick(this.#lineOf(toNode));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#lines.values()].map(({ publisher }) => publisher.stop()));
  }

  #kick({ publisher }: Line): void {
    if (!this.#stopped && this.#parts.broker()?.connected() === true) publisher.kick();
  }

  #lineOf(toNode: string): Line {
    const known = this.#lines.get(toNode);
    if (known !== undefined) return known;
    const { broker, failed, table, turns } = this.#parts;
    const queue = new ReceiptQueue(toNode, table);
    const publisher = new OneInFlight<Carried>({
      broker,
      failed,
      next: () => this.#next(toNode, queue),
      stored: ({ rows }) => {
        turns.addLater(() => table.delete(toNode, rows[0]!.seq, rows.at(-1)!.seq));
      },
    });
    const line = { queue, publisher };
    this.#lines.set(toNode, line);
    return line;
  }

  #next(toNode: string, queue: ReceiptQueue): Carried | undefined {
    const rows = queue.take(LIMITS.packBytes);
    if (rows.length === 0) return undefined;
    const { org, node, ids } = this.#parts;
    const subject = receiptSubject.build({ org, toNode, from: node });
    // Encoded messages with one repeated field, put one behind the other, are one message with all of them.
    const payload = rows.length === 1 ? rows[0]!.batch : Buffer.concat(rows.map((row) => row.batch));
    return { subject, payload, msgId: ids(`receipts ${rows[0]!.seq} ${rows.at(-1)!.seq}`), rows };
  }
}
