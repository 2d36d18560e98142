/** What a partition publishes, as data: inbox entries, receipts and dead letters, each remembering its ingress slot. */

import { deadSubject, LIMITS, REPLAYS, receiptSubject, UNKNOWN_RECIPIENT } from '@fleetwire/contract';
import type { DeadLetter, Hop, Receipt } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';
import { NORMAL_LEVEL, type PriorityLevel } from '@fleetwire/kernel';
import type { EnvelopeHeader } from './header.ts';
import type { Slot } from './prefix.ts';
import type { RouteEntry } from './routing-table.ts';

/** The name under which routers speak in subjects and hops. */
export const SERVICE = 'router';

/** One message as it stands in the ingress stream. */
export interface IngressSlot extends Slot {
  readonly subject: string;
  readonly org: string;
  readonly node: string;
  /** When the broker stored it, microseconds. */
  readonly atUs: number;
}

/** A span of the tracer, as far as a flow needs it. */
export interface Span {
  readonly traceparent: string;
  end(error?: unknown): void;
}

/** One envelope of an ingress message. */
export interface Part {
  readonly slot: IngressSlot;
  /** Its place in the pack. */
  readonly index: number;
  readonly envelope: Uint8Array;
}

/** An envelope whose header could be read and trusted. */
export interface Mail extends Part {
  readonly header: EnvelopeHeader;
  /** Microseconds, broker time. */
  readonly deadlineUs: number;
}

export interface InboxItem extends Mail {
  readonly kind: 'inbox';
  readonly size: number;
  readonly level: PriorityLevel;
  /** The agent that sent it. */
  readonly sender: string;
  /** Of the recipient; of several, that of the first. */
  readonly route: RouteEntry;
  /** Several agents of one place; undefined: that of `route` only. */
  readonly recipients: readonly RouteEntry[] | undefined;
  /** The message is to many: it is for these recipients, whatever its address means by now. */
  readonly fanned: boolean;
  /** Picked among others by what it can do: a pack of its own, so that its dedupe id holds whoever is picked. */
  readonly alone: boolean;
  readonly routedAtUs: number;
  readonly span: Span | undefined;
}
export interface ReceiptItem {
  readonly kind: 'receipt';
  readonly size: number;
  readonly level: PriorityLevel;
  readonly sender: string;
  readonly slot: IngressSlot;
  readonly index: number;
  readonly receipt: Receipt;
}
export interface DeadItem {
  readonly kind: 'dead';
  readonly size: number;
  readonly level: PriorityLevel;
  readonly sender: string;
  readonly slot: IngressSlot;
  readonly index: number;
  readonly subject: string;
  readonly letter: DeadLetter;
}
export type Item = InboxItem | ReceiptItem | DeadItem;

export function isFanned(mail: Mail): mail is InboxItem {
  return 'fanned' in mail && mail.fanned === true;
}

/** What one recipient of a message to many takes in memory. */
const RECIPIENT_BYTES = 128;
/** A dead letter beside the envelope, which is that of its message. */
const DEAD_BYTES = 512;

/** What it takes in memory beside the message that it comes from; the same each time. */
export function spreadOf(what: Item | Mail): number {
  if (!('kind' in what)) return 0;
  if (what.kind === 'receipt') return what.size;
  if (what.kind === 'dead') return DEAD_BYTES;
  return what.fanned ? RECIPIENT_BYTES * (what.recipients?.length ?? 1) : 0;
}

/** What is told stays in its order. */
const OF_NOBODY = { level: NORMAL_LEVEL, sender: '' } as const;

/** The one agent that a replay is for; empty: whomever its address means. */
export function replayedFor({ attempt, localAgent }: Pick<EnvelopeHeader, 'attempt' | 'localAgent'>): string {
  return attempt > 0 ? localAgent : '';
}

/** Receipts of one sending node share a lane. */
export function receiptLane(part: SentPart): string {
  return receiptSubject.build({ org: part.slot.org, toNode: senderNode(part), from: SERVICE });
}

type SentPart = Pick<Part, 'slot'> & { readonly header: Pick<EnvelopeHeader, 'fromNode'> };

/** The node whose agent has sent it: by the subject, or, of a replay, whose header was checked, by that. */
export function senderNode({ slot, header }: SentPart): string {
  return slot.node === REPLAYS ? header.fromNode : slot.node;
}

/** Dead letters of one sending node share a lane, so that one node's mistakes do not hold up another's. */
export function deadLane(slot: IngressSlot): string {
  return `dead ${slot.org}.${slot.node}`;
}

export interface Verdict {
  readonly stage: Stage;
  readonly reason: string;
  readonly detail: string;
  /** Broker time, microseconds. */
  readonly atUs: number;
  /** The replica that says so. */
  readonly router: string;
}

/** The final receipt of what the router refuses; `route` where the recipient was found. */
export function receiptItem(
  part: Part & { readonly header: EnvelopeHeader },
  verdict: Verdict,
  route: RouteEntry | undefined,
): ReceiptItem {
  return toldItem(part, verdict, route, true, 0);
}

/** Says how many recipients of a message to many were found, so that its sender knows when all of them have ended. */
export function fanOutItem(
  part: Part & { readonly header: EnvelopeHeader },
  verdict: Verdict,
  recipients: number,
): ReceiptItem {
  return toldItem(part, verdict, undefined, false, recipients);
}

function toldItem(
  part: Part & { readonly header: EnvelopeHeader },
  verdict: Verdict,
  route: RouteEntry | undefined,
  final: boolean,
  fanOut: number,
): ReceiptItem {
  const { header, slot, index } = part;
  const receipt: Receipt = {
    messageId: header.id,
    recipient: route?.agent ?? replayedFor(header),
    recipientName: route?.name ?? '',
    to: header.to.slice(0, LIMITS.addressChars),
    fromAgent: header.fromAgent,
    correlationId: header.correlationId,
    stage: verdict.stage,
    final,
    reason: verdict.reason,
    detail: verdict.detail,
    hops: hopsOf(part, verdict),
    traceparent: header.traceparent,
    fanOut,
    attempt: header.attempt,
    proof: undefined,
  };
  const text = header.to.length + header.correlationId.length + header.traceparent.length;
  const size = 512 + text + 2 * verdict.detail.length;
  return { kind: 'receipt', size, ...OF_NOBODY, slot, index, receipt };
}

/** Kept for people to look at; what is too large to be published with its reason is cut, and says so. */
export function deadItem(
  part: Part & { readonly header?: EnvelopeHeader | undefined },
  verdict: Verdict,
): DeadItem {
  const { slot, index, envelope, header } = part;
  const cut = envelope.length > LIMITS.serverMaxPayload - 64 * 1024;
  const letter: DeadLetter = {
    envelope: cut ? envelope.subarray(0, LIMITS.packBytes) : envelope,
    decoded: header !== undefined && Number.isSafeInteger(header.acceptedAtUs) && !cut,
    reason: verdict.reason,
    detail: cut ? `${verdict.detail} (cut from ${envelope.length} bytes)` : verdict.detail,
    subject: slot.subject,
    streamSeq: slot.sequence,
    hops: hopsOf(part, verdict),
  };
  const agent = (header && replayedFor(header)) || UNKNOWN_RECIPIENT;
  const subject = deadSubject.build({ org: slot.org, agent });
  return { kind: 'dead', size: letter.envelope.length, ...OF_NOBODY, slot, index, subject, letter };
}

function hopsOf(part: Part & { readonly header?: EnvelopeHeader | undefined }, verdict: Verdict): Hop[] {
  const { slot, header } = part;
  const end: Hop = {
    stage: verdict.stage,
    service: SERVICE,
    instance: verdict.router,
    atUs: verdict.atUs,
    reason: verdict.reason,
    detail: verdict.detail,
    attempt: header?.attempt ?? 0,
  };
  if (header === undefined) return [end];
  const accepted: Hop = {
    stage: Stage.ACCEPTED,
    service: 'node',
    instance: senderNode({ slot, header }),
    atUs: Number.isSafeInteger(header.acceptedAtUs) ? header.acceptedAtUs : 0,
    reason: '',
    detail: '',
    attempt: 0,
  };
  return [accepted, end];
}
