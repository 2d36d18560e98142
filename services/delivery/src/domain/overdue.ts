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
  readonly settlements: readonly { readonly recipient: string; readonly settlement: Settlement }[];
}

export interface OverdueContext {
  readonly nowUs: number;
  readonly instance: string;
  /** Is the node in the routing table? */
  hasNode(node: string): boolean;
}

/**
 * A receipt for each recipient that has no end; one without a recipient for those of whom nothing was heard. None where all
 * has ended, or where the sender's node speaks for its own agents and may have had none.
 */
export function overdueReceipts(
  { envelope, awaited, settlements }: LateMessage,
  context: OverdueContext,
): AddressedReceipt[] {
  const recipients = settlements.filter(({ recipient }) => recipient !== '');
  const ofAll = settlements.find(({ recipient }) => recipient === '')?.settlement;
  const open = recipients.filter(({ settlement }) => !settlement.final);
  const ends = open.map(({ recipient, settlement }) => endOf(envelope, recipient, settlement, context));
  if (ofAll?.final !== true && someUnheard(envelope, awaited, recipients, ofAll))
    ends.push(endOf(envelope, envelope.localAgent, ofAll, context));
  return ends;
}

function someUnheard(
  { fromNode }: Envelope,
  awaited: boolean,
  recipients: LateMessage['settlements'],
  ofAll: Settlement | undefined,
): boolean {
  if (ofAll !== undefined && isCount('', ofAll)) {
    const remote = recipients.filter(({ settlement }) => !settlement.publishers.includes(fromNode));
    return remote.length < ofAll.about.fanOut;
  }
  return awaited && recipients.length === 0;
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
  const end = { recipient, service: 'delivery', instance, stage, reason, detail, atUs: nowUs, attempt };
  return { org, toNode: fromNode, receipt: endReceipt(envelope, end) };
}

/** The node that was the last to have it. */
function holderOf(settlement: Settlement | undefined): string | undefined {
  return settlement?.hops.findLast(({ stage, instance }) => stage >= Stage.HELD && isId('node', instance))
    ?.instance;
}

/** When a later attempt, begun by people, is late; undefined: there is none. */
export function laterDeadlineUs({ envelope, settlements }: LateMessage): number | undefined {
  let latest: number | undefined;
  for (const { settlement } of settlements) {
    const attempt = attemptOf(settlement.hops);
    if (attempt === 0) continue;
    const begun = Math.min(
      ...settlement.hops.filter((hop) => hop.attempt === attempt).map((hop) => hop.atUs),
    );
    latest = Math.max(latest ?? 0, begun + envelope.ttlMs * 1000);
  }
  return latest;
}
