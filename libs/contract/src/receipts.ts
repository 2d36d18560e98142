/** What a receipt leaves out because its subject or the receipt itself says it, filled in again. */

import type { Receipt } from '@fleetwire/gen/message';
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
