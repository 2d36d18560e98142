/** What a receipt leaves out because its subject or the receipt itself says it, filled in again. */

import type { Envelope, Hop, InboxEntry, Receipt } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';

/**
 * Every reader of receipts calls this first. `publisher` is the last token of the receipt's subject. Changes `receipt`
 * and gives it back; what was said in full stays, so a second call changes nothing.
 */
export function completeReceipt(receipt: Receipt, publisher: string): Receipt {
  if (receipt.correlationId === '') receipt.correlationId = receipt.messageId;
  for (const hop of receipt.hops) {
    if (hop.service === '') hop.service = hop.stage === Stage.ROUTED ? 'router' : 'node';
    if (hop.instance === '') hop.instance = publisher;
  }
  return receipt;
}

/** An end that a service puts to a message which no node says anything of. */
export interface ServiceEnd {
  readonly recipient: string;
  /** Where it is known. */
  readonly recipientName?: string;
  /** The name of the service, and its replica. */
  readonly service: string;
  readonly instance: string;
  readonly stage: Stage;
  readonly reason: string;
  readonly detail: string;
  readonly atUs: number;
  readonly attempt: number;
  /** The way into the inbox, where it is known. */
  readonly routed?: Pick<InboxEntry, 'router' | 'routedAtUs'>;
}

/** The receipt about such an end, for the sender's node. */
export function endReceipt(envelope: Envelope, end: ServiceEnd): Receipt {
  const { id: messageId, fromNode, acceptedAtUs, to, fromAgent, correlationId, traceparent } = envelope;
  const { recipient, service, instance, stage, reason, detail, atUs, attempt, routed } = end;
  const plain = { reason: '', detail: '' };
  const hops: Hop[] = [
    { stage: Stage.ACCEPTED, service: 'node', instance: fromNode, atUs: acceptedAtUs, ...plain, attempt: 0 },
  ];
  if (routed !== undefined) {
    const { router, routedAtUs } = routed;
    hops.push({
      stage: Stage.ROUTED,
      service: 'router',
      instance: router,
      atUs: routedAtUs,
      ...plain,
      attempt,
    });
  }
  hops.push({ stage, service, instance, atUs, reason, detail, attempt });
  const { recipientName = '' } = end;
  const about = { messageId, recipient, recipientName, to, fromAgent, correlationId, traceparent };
  return { ...about, stage, final: true, reason, detail, hops, fanOut: 0, attempt, proof: undefined };
}
