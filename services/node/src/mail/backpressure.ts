/** Holding mail back for busy recipients: what is heard of them reaches the outbox, and what waited for them too long ends. */

import { Envelope, type Receipt } from '@fleetwire/gen/message';
import type { HeldBack } from '@fleetwire/gen/node';
import type { Clock } from '@fleetwire/kernel';
import type { Outbox } from '../domain/outbox.ts';
import { seqRuns } from '../domain/outbox-pack.ts';
import type { Busy, Ready } from '../domain/peer-signal.ts';
import { buildReceipt, expired, NOT_ON_ITS_WAY } from '../domain/receipt.ts';
import type { OutboxTable } from '../store/outbox-table.ts';
import { receiptsIn, type Sift } from './progress.ts';
import type { ReceiptDesk } from './receipt-desk.ts';

export interface BackpressureParts {
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly table: OutboxTable;
  readonly desk: ReceiptDesk;
  readonly sift: Sift;
  /** There may be something for the broker. */
  publish(): void;
}

export class Backpressure {
  readonly #parts: BackpressureParts;

  constructor(parts: BackpressureParts) {
    this.#parts = parts;
  }

  /** A recipient, or a router, has said how much may come. */
  hear(signal: Busy | Ready): void {
    const { clock, outbox, publish } = this.#parts;
    outbox.hear(signal, clock.monotonicMs());
    publish();
  }

  /** One encoded ReceiptBatch as it came from the broker; what cannot be read, or is not true, changes nothing. */
  receipts(publisher: string, encoded: Uint8Array): void {
    if (!this.#parts.outbox.waitsForReceipts) return;
    this.own(this.#parts.sift(publisher, receiptsIn(encoded), (late) => this.own(late)));
  }

  /** Receipts of this node itself, or decoded ones. */
  own(receipts: readonly Receipt[]): void {
    const { outbox, publish } = this.#parts;
    if (outbox.waitsForReceipts && outbox.heard(receipts)) publish();
  }

  /** Inside a turn: ends what has waited for a busy recipient beyond its deadline. */
  expire(): void {
    const { clock, outbox, table, desk, publish } = this.#parts;
    if (outbox.held.length === 0) return;
    if (outbox.lapse(clock.monotonicMs())) publish();
    const nowUs = clock.nowUs();
    const late = outbox.takeExpired(nowUs);
    table.delete(seqRuns(late.map(({ row }) => row)));
    for (const { row, recipient } of late) {
      const envelope = Envelope.decode(row.envelope);
      const outcome = { ...expired(), detail: `${recipient.name} took no more mail until then` };
      const receipt = buildReceipt(envelope, recipient, NOT_ON_ITS_WAY, outcome, nowUs);
      desk.add(envelope.fromNode, receipt, true);
    }
  }

  /** For whom mail waits here. */
  heldBack(): HeldBack[] {
    const { outbox } = this.#parts;
    return outbox.held.told(outbox.depth);
  }
}
