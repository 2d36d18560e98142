/** The receipts that end what waited in the inbox stream beyond its deadline. */

import { endReceipt } from '@fleetwire/contract';
import type { InboxEntry, Receipt } from '@fleetwire/gen/message';
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
  const { org, fromNode, ttlMs, attempt } = envelope;
  const detail = `its node did not take it within ${ttlMs} ms`;
  const why = { stage: Stage.EXPIRED, reason: TTL_EXPIRED, detail, attempt, routed: entry };
  const end = { ...why, service: 'delivery', instance, atUs: nowUs };
  return entry.recipients.map((recipient) => ({
    org,
    toNode: fromNode,
    receipt: endReceipt(envelope, { ...end, recipient }),
  }));
}
