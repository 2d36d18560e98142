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
import {
  endOpen,
  endUnheard,
  type LateMessage,
  type OpenRecipient,
  type Overdue,
} from '../domain/overdue.ts';
import type { SweepPlan } from '../domain/sweep-plan.ts';
import { Watermark } from '../domain/watermark.ts';
import { putOffDeadline } from '../store/origin-table.ts';
import {
  type OpenMessage,
  type OverduePage,
  type OverduePlace,
  openRecipients,
  overduePage,
  readOverduePlace,
  settlementsOfAll,
  writeOverduePlace,
} from '../store/overdue-query.ts';

export interface OverdueLimits {
  /** How long after its deadline a message is left to a node that may still speak of it. */
  readonly silentMs: number;
  /** Messages that one run looks at. */
  readonly lookMax: number;
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
/** Of one message, without an end, in memory together. */
const RECIPIENTS_AT_ONCE = 100;

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

  /** Gives how many of them were ended, for some of their recipients or all. */
  async #end({ open }: OverduePage): Promise<number> {
    const { store } = this.#o;
    const ends: AddressedReceipt[] = [];
    let ended = 0;
    for (const [org, some] of Map.groupBy(open, (one) => one.org)) {
      const ids = some.map(({ id }) => id);
      const ofAll = await settlementsOfAll(store, org, ids);
      const first = await openRecipients(store, org, ids, '', RECIPIENTS_AT_ONCE);
      for (const message of some) {
        const late = { ...message, ofAll: ofAll.get(message.id) };
        if (await this.#endOne(late, first.get(message.id) ?? [], ends)) ended++;
      }
    }
    await this.#publish(ends.splice(0));
    return ended;
  }

  /** Adds to `ends`, or publishes what is there when that is much. */
  async #endOne(
    late: LateMessage & Pick<OpenMessage, 'org' | 'id'>,
    first: readonly OpenRecipient[],
    ends: AddressedReceipt[],
  ): Promise<boolean> {
    const { store, clock, instance, limits, hasNode } = this.#o;
    const { org, id } = late;
    const nowUs = clock.nowUs();
    const context = { nowUs, lateUs: nowUs - limits.silentMs * 1000, instance, hasNode };
    let laterUs = 0;
    let ended = false;
    const take = async (some: Overdue) => {
      ended ||= some.receipts.length > 0;
      laterUs = Math.max(laterUs, some.laterUs);
      ends.push(...some.receipts);
      if (ends.length >= RECEIPTS_PER_BATCH) await this.#publish(ends.splice(0));
    };
    await take(endUnheard(late, context));
    for (let open = first; open.length > 0; ) {
      await take(endOpen(late, open, context));
      if (open.length < RECIPIENTS_AT_ONCE) break;
      const next = await openRecipients(store, org, [id], open.at(-1)!.recipient, RECIPIENTS_AT_ONCE);
      open = next.get(id) ?? [];
    }
    if (laterUs > 0) await putOffDeadline(store, org, id, laterUs);
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
