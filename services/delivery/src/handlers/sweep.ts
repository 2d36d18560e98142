/**
 * The sweep: what still sits in the inbox stream after its deadline, because its node never came, ends as `expired`.
 *
 * The receipt is stored before the message is deleted: a crash in between repeats the receipt, the other way round it
 * would lose the message in silence. Should the node have taken the message at the last moment, its own end comes
 * earlier in time, or its proof upgrades this one.
 */

import type { Broker, DedupeIds } from '@fleetwire/broker';
import {
  deadSubject,
  inboxSubject,
  receiptSubject,
  TTL_CAP_MS,
  UNKNOWN_RECIPIENT,
} from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { DeadLetter, InboxPack, ReceiptBatch } from '@fleetwire/gen/message';
import { type Clock, slices } from '@fleetwire/kernel';
import type { AddressedReceipt } from '../domain/expiry.ts';
import { expiryReceipts } from '../domain/expiry.ts';
import type { SweepPlan, Watched } from '../domain/sweep-plan.ts';

/** A message as it lies in the inbox stream. */
export interface InboxMessage {
  readonly sequence: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly storedAtUs: number;
}

/** What the sweep needs of the stream. */
export interface InboxStream {
  /** The first message at `sequence` or behind it. */
  next(sequence: number): Promise<InboxMessage | undefined>;
  /** The sequence of the newest one that there ever was. */
  last(): Promise<number>;
  get(sequence: number): Promise<InboxMessage | undefined>;
  /** No error when it is gone already. */
  remove(sequence: number): Promise<void>;
}

export interface SweepLimits {
  readonly readMax: number;
  readonly settleMax: number;
  readonly marginMs: number;
}

export interface SweepOptions {
  readonly inbox: InboxStream;
  readonly store: Broker['store'];
  /** Nodes publish receipts too: an id that they could guess could be used up. */
  readonly receiptIds: DedupeIds;
  readonly clock: Clock;
  readonly instance: string;
  readonly limits: SweepLimits;
}

export interface SweepResult {
  readonly read: number;
  /** Messages ended; each may have several recipients. */
  readonly expired: number;
}

/** Receipts in one publish: keeps it well below the server's bound. */
const RECEIPTS_PER_BATCH = 500;

/** One bounded run; `mayGoOn` is asked before each message (the lease is still held, the service is not stopping). */
export async function sweepInbox(
  plan: SweepPlan,
  o: SweepOptions,
  mayGoOn: () => boolean,
): Promise<SweepResult> {
  const read = await readOn(plan, o, mayGoOn);
  let expired = 0;
  const due = plan.due(o.clock.nowUs() - o.limits.marginMs * 1000, o.limits.settleMax);
  let ended = 0;
  try {
    for (; ended < due.length && mayGoOn(); ended++) if (await end(due[ended]!.sequence, o)) expired++;
  } finally {
    for (const left of due.slice(ended)) plan.put(left);
  }
  return { read, expired };
}

/** Reads what has been waiting for longer than the margin: in a healthy fabric, next to nothing. */
async function readOn(plan: SweepPlan, o: SweepOptions, mayGoOn: () => boolean): Promise<number> {
  const olderThanUs = o.clock.nowUs() - o.limits.marginMs * 1000;
  const last = await o.inbox.last();
  let read = 0;
  while (read < o.limits.readMax && plan.hasRoom() && mayGoOn()) {
    const message = await o.inbox.next(plan.cursor);
    plan.reached(message?.sequence ?? last + 1);
    if (message === undefined || message.storedAtUs > olderThanUs) break;
    plan.watch({ sequence: message.sequence, ...deadlinesOf(message) });
    read++;
  }
  return read;
}

/** The first and the last deadline in the pack; of a mark and of what cannot be decoded, the longest that any may have. */
function deadlinesOf(message: InboxMessage): Pick<Watched, 'deadlineUs' | 'firstDeadlineUs'> {
  const cap = message.storedAtUs + TTL_CAP_MS * 1000;
  try {
    const deadlines = InboxPack.decode(message.data).entries.map((entry) => entry.deadlineUs);
    if (deadlines.length === 0) return { deadlineUs: cap, firstDeadlineUs: Number.POSITIVE_INFINITY };
    return { deadlineUs: Math.min(cap, Math.max(...deadlines)), firstDeadlineUs: Math.min(...deadlines) };
  } catch {
    return { deadlineUs: cap, firstDeadlineUs: message.storedAtUs };
  }
}

/** False when it has been taken meanwhile. */
async function end(sequence: number, o: SweepOptions): Promise<boolean> {
  const message = await o.inbox.get(sequence);
  if (message === undefined) return false;
  const receipts = receiptsFor(message, o);
  if (receipts === undefined) await keepUndecodable(message, o);
  else await publish(sequence, receipts, o);
  await o.inbox.remove(sequence);
  return true;
}

function receiptsFor(message: InboxMessage, o: SweepOptions): AddressedReceipt[] | undefined {
  try {
    const nowUs = o.clock.nowUs();
    return InboxPack.decode(message.data).entries.flatMap((e) => expiryReceipts(e, o.instance, nowUs));
  } catch {
    return undefined;
  }
}

async function publish(sequence: number, all: readonly AddressedReceipt[], o: SweepOptions): Promise<void> {
  const bySubject = Map.groupBy(all, ({ org, toNode }) =>
    receiptSubject.build({ org, toNode, from: 'delivery' }),
  );
  let part = 0;
  for (const [subject, addressed] of bySubject)
    for (const some of slices(addressed, RECEIPTS_PER_BATCH)) {
      const receipts = some.map((a) => a.receipt);
      const msgId = o.receiptIds(`sweep ${sequence} ${part++}`);
      await o.store(subject, encode(ReceiptBatch, { receipts }), { msgId });
    }
}

async function keepUndecodable(message: InboxMessage, o: SweepOptions): Promise<void> {
  const org = inboxSubject.parse(message.subject)?.org ?? UNKNOWN_RECIPIENT;
  const letter = encode(DeadLetter, {
    envelope: message.data.subarray(0, 1024 * 1024),
    decoded: false,
    reason: 'PACK_UNDECODABLE',
    detail: 'it waited in the inbox stream until its time was over',
    subject: message.subject,
    streamSeq: message.sequence,
    hops: [],
  });
  const subject = deadSubject.build({ org, agent: UNKNOWN_RECIPIENT });
  await o.store(subject, letter, { msgId: `sweep-${message.sequence}` });
}
