/**
 * Ends what is past its time and has no end: mail that a node took in and never spoke of again, because its disk is gone, or it
 * was removed, or it is silent. Proof that comes later still upgrades it.
 *
 * What is in the inbox stream is the other sweep's, and what is only not heard of yet nobody's: so no message is looked at
 * before all that was there at its deadline has been routed, read and stored.
 */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import { DELIVERY_RECEIPTS, receiptSubject, TTL_CAP_MS } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { ReceiptBatch } from '@fleetwire/gen/message';
import { type Clock, slices } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { AddressedReceipt } from '../domain/expiry.ts';
import { type LateMessage, laterDeadlineUs, overdueReceipts } from '../domain/overdue.ts';
import type { SweepPlan } from '../domain/sweep-plan.ts';
import { Watermark } from '../domain/watermark.ts';
import { putOffDeadline } from '../store/origin-table.ts';
import {
  type OverduePage,
  type OverduePlace,
  overduePage,
  readOverduePlace,
  writeOverduePlace,
} from '../store/overdue-query.ts';
import { findSettlements } from '../store/settlement-table.ts';

export interface OverdueLimits {
  /** How long after its deadline a message is left to a node that may still speak of it. */
  readonly silentMs: number;
  /** Messages that one run looks at. */
  readonly lookMax: number;
  readonly recipientsMax: number;
}

export interface OverdueSweepOptions {
  readonly broker: Pick<Broker, 'streams' | 'consumers' | 'store'>;
  readonly store: Store;
  readonly receiptIds: DedupeIds;
  readonly clock: Pick<Clock, 'nowUs'>;
  readonly instance: string;
  hasNode(node: string): boolean;
  readonly limits: OverdueLimits;
}

const PAGE_ROWS = 500;
const RECEIPTS_PER_BATCH = 500;

/** Of one leader: its watermark begins anew with it. */
export class OverdueSweep {
  readonly #o: OverdueSweepOptions;
  readonly #watermark = new Watermark();
  #place: OverduePlace | undefined;

  constructor(options: OverdueSweepOptions) {
    this.#o = options;
  }

  /** `plan`: what waits in the inbox, just read. Gives how many messages were ended. */
  async run(plan: SweepPlan, mayGoOn: () => boolean): Promise<number> {
    const untilUs = await this.#untilUs(plan);
    let ended = 0;
    for (let looked = 0; looked < this.#o.limits.lookMax && mayGoOn(); ) {
      const after = await this.#startPlace();
      if (untilUs <= after.deadlineUs) break;
      const page = await overduePage(this.#o.store, after, untilUs, PAGE_ROWS);
      if (page.last === undefined) break;
      ended += await this.#end(page);
      this.#place = page.last;
      await writeOverduePlace(this.#o.store, page.last);
      looked += page.looked;
    }
    return ended;
  }

  async #untilUs(plan: SweepPlan): Promise<number> {
    const { clock, limits } = this.#o;
    const nowUs = clock.nowUs();
    const atUs = this.#watermark.step({ nowUs, inboxRead: plan.readTo, ...(await this.#progress()) });
    return Math.min(atUs - limits.silentMs * 1000, plan.firstDeadlineUs - 1);
  }

  async #progress() {
    const { streams, consumers } = this.#o.broker;
    const { stream, durable_name } = DELIVERY_RECEIPTS;
    const receipts = await streams.state(stream);
    const [ingress, inbox] = [await streams.state('INGRESS'), await streams.state('INBOX')];
    const reader = await consumers.info(stream, durable_name);
    const receiptsLast = receipts?.lastSequence ?? 0;
    const all = reader !== undefined && reader.numPending === 0 && reader.numAckPending === 0;
    return {
      ingressFirst: ingress?.firstSequence ?? 0,
      ingressLast: ingress?.lastSequence ?? 0,
      inboxLast: inbox?.lastSequence ?? 0,
      receiptsLast,
      receiptsRead: all ? Math.max(receiptsLast, reader.ackFloor) : (reader?.ackFloor ?? 0),
    };
  }

  /** Where nobody has looked yet, what may have been under way at the last start. */
  async #startPlace(): Promise<OverduePlace> {
    this.#place ??= (await readOverduePlace(this.#o.store)) ?? {
      deadlineUs: Math.max(0, this.#o.clock.nowUs() - 2 * TTL_CAP_MS * 1000),
      id: '',
      org: '',
    };
    return this.#place;
  }

  async #end({ open }: OverduePage): Promise<number> {
    const { store, clock, instance, limits, hasNode } = this.#o;
    const ends: AddressedReceipt[] = [];
    let ended = 0;
    for (const [org, some] of Map.groupBy(open, (one) => one.org)) {
      const ids = some.map(({ id }) => id);
      const settlements = Map.groupBy(
        await findSettlements(store, org, ids, limits.recipientsMax),
        (one) => one.messageId,
      );
      for (const { id, envelope, awaited } of some) {
        const late: LateMessage = { envelope, awaited, settlements: settlements.get(id) ?? [] };
        const laterUs = laterDeadlineUs(late);
        if (laterUs !== undefined && laterUs > clock.nowUs() - limits.silentMs * 1000) {
          await putOffDeadline(store, org, id, laterUs);
          continue;
        }
        const receipts = overdueReceipts(late, { nowUs: clock.nowUs(), instance, hasNode });
        if (receipts.length > 0) ended++;
        ends.push(...receipts);
      }
    }
    await this.#publish(ends);
    return ended;
  }

  /** Stored before the place moves on: a crash in between says it once more. */
  async #publish(ends: readonly AddressedReceipt[]): Promise<void> {
    const { broker, receiptIds } = this.#o;
    const bySubject = Map.groupBy(ends, ({ org, toNode }) =>
      receiptSubject.build({ org, toNode, from: 'delivery' }),
    );
    for (const [subject, addressed] of bySubject)
      for (const some of slices(addressed, RECEIPTS_PER_BATCH)) {
        const receipts = some.map(({ receipt }) => receipt);
        const names = receipts.map(
          ({ messageId, recipient, attempt }) => `${messageId} ${recipient} ${attempt}`,
        );
        const msgId = receiptIds(`overdue ${names.join(' ')}`);
        await broker.store(subject, encode(ReceiptBatch, { receipts }), { msgId });
      }
  }
}
