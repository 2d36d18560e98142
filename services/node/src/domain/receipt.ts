/** Receipts: what became of a message, with every hop that this node knows of. */

import { type Envelope, type Hop, type Receipt, Stage } from '@fleetwire/gen/message';
import type { Entry } from './queue.ts';

/** How a message ended, or how far it has come. */
export interface Outcome {
  readonly stage: Stage;
  readonly final: boolean;
  /** A reason of the error table; '' when nothing went wrong. */
  readonly reason: string;
  readonly detail: string;
}

export const confirmed = (detail = ''): Outcome => ({
  stage: Stage.CONFIRMED,
  final: true,
  reason: '',
  detail,
});
export const unconfirmed = (reason: string, detail: string): Outcome => ({
  stage: Stage.UNCONFIRMED,
  final: true,
  reason,
  detail,
});
export const expired = (): Outcome => ({
  stage: Stage.EXPIRED,
  final: true,
  reason: 'TTL_EXPIRED',
  detail: 'nobody took it in time',
});
export const returned = (reason: string, detail: string): Outcome => ({
  stage: Stage.RETURNED,
  final: true,
  reason,
  detail,
});

export interface Recipient {
  readonly id: string;
  readonly name: string;
}

type Times = Pick<Entry, 'heldAtUs' | 'ingressAtUs' | 'routedAtUs' | 'router' | 'deliveredAtUs'>;

/** The receipt of `node` about `envelope`, for one recipient. */
export function buildReceipt(
  node: string,
  envelope: Envelope,
  recipient: Recipient,
  times: Times,
  outcome: Outcome,
  nowUs: number,
): Receipt {
  const { stage, final, reason, detail } = outcome;
  const hops: Hop[] = [hop(Stage.ACCEPTED, 'node', envelope.fromNode, envelope.acceptedAtUs)];
  if (times.routedAtUs > 0) hops.push(hop(Stage.ROUTED, 'router', times.router, times.routedAtUs));
  if (times.heldAtUs > 0) hops.push(hop(Stage.HELD, 'node', node, times.heldAtUs));
  if (times.deliveredAtUs > 0) hops.push(hop(Stage.DELIVERED, 'node', node, times.deliveredAtUs));
  if (stage !== Stage.HELD && stage !== Stage.DELIVERED) {
    hops.push({ stage, service: 'node', instance: node, atUs: nowUs, reason, detail });
  }
  return {
    messageId: envelope.id,
    recipient: recipient.id,
    recipientName: recipient.name,
    to: envelope.to,
    fromAgent: envelope.fromAgent,
    correlationId: envelope.correlationId,
    stage,
    final,
    reason,
    detail,
    hops,
    traceparent: envelope.traceparent,
  };
}

/** The same receipt once proof has come after all. */
export function upgraded(receipt: Receipt, node: string, nowUs: number): Receipt {
  const proof = hop(Stage.CONFIRMED, 'node', node, nowUs);
  return {
    ...receipt,
    stage: Stage.CONFIRMED,
    final: true,
    reason: '',
    detail: 'proof came late',
    hops: [...receipt.hops, proof],
  };
}

function hop(stage: Stage, service: string, instance: string, atUs: number): Hop {
  return { stage, service, instance, atUs, reason: '', detail: '' };
}
