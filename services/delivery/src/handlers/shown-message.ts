/** A message as callers see it: of history, or, while that has not arrived or is not kept, of its receipts. */

import type { Message } from '@fleetwire/gen/delivery';
import { Envelope, Stage } from '@fleetwire/gen/message';
import type { HistoryMode } from '../domain/history-mode.ts';
import { NODE_SILENT } from '../domain/overdue.ts';
import { attemptOf, isCount } from '../domain/settlement.ts';
import { NOTHING_LEFT_OUT, type StoredMessage } from '../store/message-table.ts';
import type { StoredSettlement } from '../store/settlement-table.ts';

export function fromHistory(row: StoredMessage, settlements: readonly StoredSettlement[]): Message {
  const envelope = Envelope.decode(row.envelope);
  const kept = row.leftOutBytes === NOTHING_LEFT_OUT;
  const bodyBytes = kept ? envelope.body.length : row.leftOutBytes;
  return { ...envelope, ...ends(settlements), bodyMissing: kept ? '' : 'METADATA', bodyBytes };
}

/** What receipts say of the message, without its body. `mode`: of its org, now. */
export function fromReceipts(
  org: string,
  id: string,
  settlements: readonly StoredSettlement[],
  mode: HistoryMode,
): Message {
  const { to, fromAgent, correlationId, traceparent } = settlements[0]!.settlement.about;
  const accepted = settlements.flatMap((s) => s.settlement.hops).find((hop) => hop.stage === Stage.ACCEPTED);
  return {
    id,
    org,
    fromAgent,
    fromName: '',
    fromNode: accepted?.instance ?? '',
    to,
    correlationId,
    replyTo: '',
    traceparent,
    acceptedAtUs: accepted?.atUs ?? 0,
    ttlMs: 0,
    contentType: '',
    body: new Uint8Array(0),
    bodyMissing: mode === 'off' ? 'OFF' : 'PENDING',
    bodyBytes: 0,
    ...ends(settlements),
  };
}

/**
 * What became of it for each recipient; what says only how many there are is no settlement, and an end for those of whom
 * nothing was heard is none once they were heard of.
 */
function ends(all: readonly StoredSettlement[]): Pick<Message, 'settlements' | 'fanOut'> {
  const ofAll = all.find(({ recipient }) => recipient === '');
  const fanOut = ofAll?.settlement.about.fanOut ?? 0;
  const others = all.length - (ofAll === undefined ? 0 : 1);
  const heardOf = ofAll?.settlement.reason === NODE_SILENT && others >= Math.max(1, fanOut);
  const left = ofAll !== undefined && (heardOf || isCount('', ofAll.settlement)) ? ofAll : undefined;
  return { settlements: all.filter((s) => s !== left && !isSuperseded(s, all)).map(shown), fanOut };
}

/** It led to nobody at first, and a replay of it led to somebody. */
function isSuperseded(
  { recipient, settlement }: StoredSettlement,
  all: readonly StoredSettlement[],
): boolean {
  const attempt = recipient === '' ? attemptOf(settlement.hops) : 0;
  return attempt > 0 && all.some((s) => s.recipient !== '' && attemptOf(s.settlement.hops) >= attempt);
}

export function shown({ recipient, settlement }: StoredSettlement): Message['settlements'][number] {
  const { stage, final, reason, detail, atUs, about } = settlement;
  const proof = stage === Stage.CONFIRMED ? settlement.proof : undefined;
  return {
    recipient,
    recipientName: about.recipientName,
    stage,
    final,
    reason,
    detail,
    updatedAtUs: atUs,
    attempt: attemptOf(settlement.hops),
    proof,
  };
}
