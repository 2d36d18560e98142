/** What ends of a message that is late and whose nodes have not said what became of it. */

import { endReceipt } from '@fleetwire/contract';
import { type Envelope, Stage } from '@fleetwire/gen/message';
import { isId, meansMany } from '@fleetwire/kernel';
import type { AddressedReceipt } from './expiry.ts';
import { attemptOf, isCount, type Settlement } from './settlement.ts';

/** Its node never said what became of it. */
export const NODE_SILENT = 'NODE_SILENT';
/** Its node is no longer in the org. */
export const NODE_REMOVED = 'NODE_REMOVED';

/** What history has of one message. */
export interface LateMessage {
  /** Of an org that keeps nothing it says who sent it and when, and no more. */
  readonly envelope: Envelope;
  /** As `isAwaited` said of it when it came. */
  readonly awaited: boolean;
  /** Without a recipient: of a message to many the count, or an end for all of whom nothing was heard. */
  readonly ofAll: Settlement | undefined;
  /** Recipients of whom something was heard; where there is a count, of those that it has. */
  readonly heard: number;
}

/** For one recipient it has no end. */
export interface OpenRecipient {
  readonly recipient: string;
  readonly settlement: Settlement;
}

export interface OverdueContext {
  readonly nowUs: number;
  /** What was to be there later than this is not late. */
  readonly lateUs: number;
  readonly instance: string;
  /** Is the node in the routing table? */
  hasNode(node: string): boolean;
}

export interface Overdue {
  readonly receipts: readonly AddressedReceipt[];
  /** When the last attempt of those that are not late, begun by people, will be; 0: there is none. */
  readonly laterUs: number;
}

/** A receipt for each that is late; `open`: some or all recipients that have no end. */
export function endOpen(
  { envelope }: LateMessage,
  open: readonly OpenRecipient[],
  context: OverdueContext,
): Overdue {
  const receipts: AddressedReceipt[] = [];
  let laterUs = 0;
  for (const { recipient, settlement } of open) {
    const dueUs = attemptDeadlineUs(envelope, settlement, context);
    if (dueUs > context.lateUs) laterUs = Math.max(laterUs, dueUs);
    else receipts.push(endOf(envelope, recipient, settlement, context));
  }
  return { receipts, laterUs };
}

/**
 * One receipt without a recipient for those of whom nothing was heard. None where the sender's node speaks for its own agents
 * and may have had none.
 */
export function endUnheard(late: LateMessage, context: OverdueContext): Overdue {
  const { envelope, ofAll } = late;
  if (ofAll?.final === true || !someUnheard(late)) return { receipts: [], laterUs: 0 };
  const dueUs = ofAll === undefined ? 0 : attemptDeadlineUs(envelope, ofAll, context);
  if (dueUs > context.lateUs) return { receipts: [], laterUs: dueUs };
  return { receipts: [endOf(envelope, envelope.localAgent, ofAll, context)], laterUs: 0 };
}

function someUnheard({ awaited, ofAll, heard }: LateMessage): boolean {
  if (ofAll !== undefined && isCount('', ofAll)) return heard < ofAll.about.fanOut;
  return awaited && heard === 0;
}

/** Whose receipt has to come is one at least; the sender's node, and who sends to many, may have reached nobody. */
export function isAwaited({ to, local, localAgent, localServed }: Envelope): boolean {
  return localAgent !== '' || !(local || localServed || meansMany(to));
}

function endOf(
  envelope: Envelope,
  recipient: string,
  settlement: Settlement | undefined,
  { nowUs, instance, hasNode }: OverdueContext,
): AddressedReceipt {
  const { org, fromNode } = envelope;
  const holder = holderOf(settlement) ?? (recipient === '' ? undefined : fromNode);
  const isGone = holder !== undefined && !hasNode(holder);
  const stage = isGone ? Stage.RETURNED : Stage.EXPIRED;
  const reason = isGone ? NODE_REMOVED : NODE_SILENT;
  const detail = isGone
    ? 'the node that had it was removed'
    : 'its time is over, and its node has not said what became of it';
  const attempt = settlement === undefined ? envelope.attempt : attemptOf(settlement.hops);
  const recipientName = settlement?.about.recipientName ?? '';
  const whom = { recipient, recipientName };
  const end = { ...whom, service: 'delivery', instance, stage, reason, detail, atUs: nowUs, attempt };
  return { org, toNode: fromNode, receipt: endReceipt(wholeEnvelope(envelope, settlement), end) };
}

/** Of an org that keeps nothing the receipts before this one tell who wrote to whom. */
function wholeEnvelope(envelope: Envelope, settlement: Settlement | undefined): Envelope {
  if (settlement === undefined) return envelope;
  const { to, fromAgent, correlationId, traceparent } = envelope;
  const { about } = settlement;
  return {
    ...envelope,
    to: to || about.to,
    fromAgent: fromAgent || about.fromAgent,
    correlationId: correlationId || about.correlationId,
    traceparent: traceparent || about.traceparent,
  };
}

/** The node that was the last to have it. */
function holderOf(settlement: Settlement | undefined): string | undefined {
  return settlement?.hops.findLast(({ stage, instance }) => stage >= Stage.HELD && isId('node', instance))
    ?.instance;
}

/**
 * When a later attempt, begun by people, is late; 0: there is none. Nodes say when they had it: what lies further ahead than a
 * time to live is no clock that is fast, and would never be late.
 */
function attemptDeadlineUs(
  { ttlMs }: Envelope,
  { hops }: Settlement,
  { nowUs }: Pick<OverdueContext, 'nowUs'>,
): number {
  const attempt = attemptOf(hops);
  if (attempt === 0) return 0;
  const ttlUs = ttlMs * 1000;
  const begunUs = Math.min(...hops.filter((hop) => hop.attempt === attempt).map((hop) => hop.atUs));
  return begunUs > nowUs + ttlUs ? 0 : begunUs + ttlUs;
}
