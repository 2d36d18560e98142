/** The receipts that end what waited in the inbox stream beyond its deadline. */

import type { Hop, InboxEntry, Receipt } from '@fleetwire/gen/message';
import { Envelope, Stage } from '@fleetwire/gen/message';

/** Reason of a receipt for what no node took in time. */
export const TTL_EXPIRED = 'TTL_EXPIRED';

/** A receipt and the node that has to hear of it. */
export interface AddressedReceipt {
  readonly org: string;
  readonly toNode: string;
  readonly receipt: Receipt;
}

/** One receipt for each recipient of the entry; throws when its envelope cannot be decoded. */
export function expiryReceipts(entry: InboxEntry, instance: string, nowUs: number): AddressedReceipt[] {
  const envelope = Envelope.decode(entry.envelope);
  const { id: messageId, org, fromNode, to, fromAgent, correlationId, traceparent } = envelope;
  const detail = `its node did not take it within ${envelope.ttlMs} ms`;
  const { attempt } = envelope;
  const plain = { reason: '', detail: '' };
  const hops: Hop[] = [
    {
      stage: Stage.ACCEPTED,
      service: 'node',
      instance: fromNode,
      atUs: envelope.acceptedAtUs,
      ...plain,
      attempt: 0,
    },
    {
      stage: Stage.ROUTED,
      service: 'router',
      instance: entry.router,
      atUs: entry.routedAtUs,
      ...plain,
      attempt,
    },
    {
      stage: Stage.EXPIRED,
      service: 'delivery',
      instance,
      atUs: nowUs,
      reason: TTL_EXPIRED,
      detail,
      attempt,
    },
  ];
  const shared = {
    messageId,
    to,
    fromAgent,
    correlationId,
    traceparent,
    recipientName: '',
    fanOut: 0,
    attempt,
    proof: undefined,
  };
  return entry.recipients.map((recipient) => ({
    org,
    toNode: fromNode,
    receipt: { ...shared, recipient, stage: Stage.EXPIRED, final: true, reason: TTL_EXPIRED, detail, hops },
  }));
}
