/** Receipts: what became of a message, with every hop that this node knows of. */

import { type Envelope, type Hop, type Proof, type Receipt, Stage } from '@fleetwire/gen/message';
import type { Entry } from './queue.ts';

/** How a message ended, or how far it has come. */
export interface Outcome {
  readonly stage: Stage;
  readonly final: boolean;
  /** A reason of the error table; '' when nothing went wrong. */
  readonly reason: string;
  readonly detail: string;
  /** What showed that a program has taken it up; undefined where the recipient itself has said so. */
  readonly proof?: Proof | undefined;
}

export const confirmed = (detail = '', proof?: Proof): Outcome => ({
  stage: Stage.CONFIRMED,
  final: true,
  reason: '',
  detail,
  proof,
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

export const SESSION_LOST = unconfirmed(
  'SESSION_LOST',
  'the session ended before the agent had acknowledged it',
);
export const AGENT_REMOVED = returned('AGENT_REMOVED', 'the agent was removed');
export const CANCELLED = returned('CANCELLED', 'its sender took it back while it waited');
/** Of one that waits no longer: its time is over, or it was taken back while a reader was shown it. */
export const overdue = ({ cancelled }: { readonly cancelled: boolean }): Outcome =>
  cancelled ? CANCELLED : expired();
/** Of what was to take back a message that its sender never sent to this agent. */
export const NOTHING_TO_CANCEL = returned(
  'NOTHING_TO_CANCEL',
  'no message of its sender with that id has come to this agent',
);

/** Ended to make room for what came after it. */
export const overflowed = (detail: string): Outcome => ({
  stage: Stage.DEAD,
  final: true,
  reason: 'QUEUE_OVERFLOW',
  detail,
});

export interface Recipient {
  readonly id: string;
  readonly name: string;
}

type Times = Pick<Entry, 'heldAtUs' | 'ingressAtUs' | 'routedAtUs' | 'router' | 'deliveredAtUs'>;

/** Of what never left its sender's node. */
export const NOT_ON_ITS_WAY: Times = {
  heldAtUs: 0,
  ingressAtUs: 0,
  routedAtUs: 0,
  router: '',
  deliveredAtUs: 0,
};

/** This node's receipt about `envelope`, for one recipient, as it is published: see `completeReceipt`. */
export function buildReceipt(
  envelope: Envelope,
  recipient: Recipient,
  times: Times,
  outcome: Outcome,
  nowUs: number,
): Receipt {
  const { stage, final, reason, detail } = outcome;
  const hops: Hop[] = [hop(Stage.ACCEPTED, envelope.fromNode, envelope.acceptedAtUs)];
  const { attempt } = envelope;
  if (times.routedAtUs > 0) hops.push(hop(Stage.ROUTED, times.router, times.routedAtUs, attempt));
  if (times.heldAtUs > 0) hops.push(hop(Stage.HELD, '', times.heldAtUs, attempt));
  if (times.deliveredAtUs > 0) hops.push(hop(Stage.DELIVERED, '', times.deliveredAtUs, attempt));
  if (stage !== Stage.HELD && stage !== Stage.DELIVERED) {
    hops.push({ stage, service: '', instance: '', atUs: nowUs, reason, detail, attempt });
  }
  return {
    messageId: envelope.id,
    recipient: recipient.id,
    recipientName: recipient.name,
    to: envelope.to,
    fromAgent: envelope.fromAgent,
    correlationId: envelope.correlationId === envelope.id ? '' : envelope.correlationId,
    stage,
    final,
    reason,
    detail,
    hops,
    traceparent: '',
    fanOut: 0,
    attempt,
    proof: outcome.proof,
  };
}

/** The same receipt once proof has come after all. */
export function upgraded(receipt: Receipt, nowUs: number): Receipt {
  const proof = hop(Stage.CONFIRMED, '', nowUs, receipt.attempt);
  return {
    ...receipt,
    stage: Stage.CONFIRMED,
    final: true,
    reason: '',
    detail: 'proof came late',
    hops: [...receipt.hops, proof],
  };
}

/** Without what `completeReceipt` fills in: the service, and this node as the instance. */
function hop(stage: Stage, instance: string, atUs: number, attempt = 0): Hop {
  return { stage, service: '', instance, atUs, reason: '', detail: '', attempt };
}
