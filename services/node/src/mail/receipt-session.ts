/** What one session is told of its agent's receipts: at the pace at which it reads, from where it had come to. */

import type { AttachHello, AttachResponse } from '@fleetwire/gen/node';
import type { Outflow } from './outflow.ts';
import type { ReceiptLogs } from './receipt-logs.ts';

/** Receipts of one answer: about 400 bytes each. */
const BATCH = 256;

/** Nothing waits in memory for this session but what the log keeps anyway. Gives what ends it. */
export function feedReceipts(
  logs: ReceiptLogs,
  agent: number,
  { receiptsAfter }: Pick<AttachHello, 'receiptsAfter'>,
  outflow: Outflow,
): () => void {
  const { log, leave } = logs.follow(agent, () => outflow.fed());
  const known = receiptsAfter?.log === log.id && receiptsAfter.seq <= log.last;
  // What is in another log than the client has named was said after that.
  const restarted = receiptsAfter !== undefined && !known;
  let had = receiptsAfter === undefined ? log.last : known ? receiptsAfter.seq : log.first - 1;
  let begun = false;
  const next = (): AttachResponse | undefined => {
    const missed = Math.max(0, log.first - 1 - had);
    const receipts = log.from(had + missed + 1, BATCH);
    if (begun && missed === 0 && receipts.length === 0) return undefined;
    had += missed + receipts.length;
    const receiptMark = { cursor: { log: log.id, seq: had }, missed, restarted: restarted && !begun };
    begun = true;
    return receipts.length === 0 ? { receiptMark } : { receipts: { receipts }, receiptMark };
  };
  outflow.feed = next;
  outflow.fed();
  return leave;
}
