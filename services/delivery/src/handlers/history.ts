/** History from ingress: every accepted message becomes a row, local ones as well. */

import type { PulledMessage } from '@fleetwire/broker';
import { DELIVERY_HISTORY, ingressSubject } from '@fleetwire/contract';
import { Envelope, IngressPack } from '@fleetwire/gen/message';
import { causeChain } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { isKeyText } from '../domain/column-text.ts';
import { compareText } from '../domain/hops.ts';
import type { MessageRow } from '../store/message-table.ts';
import { saveMessages } from '../store/message-table.ts';
import { PlainFirst } from '../store/plain-first.ts';
import type { IngestSource, Intake } from './ingest-loop.ts';
import type { Rejected } from './reject-desk.ts';

export interface HistoryRow extends MessageRow {
  readonly message: PulledMessage;
  readonly part: number;
}

export function historySource(store: Store): IngestSource<HistoryRow> {
  const first = new PlainFirst();
  return {
    consumer: DELIVERY_HISTORY,
    read: readHistory,
    combine: (rows) => rows.sort((a, b) => compareText(a.id, b.id) || compareText(a.org, b.org)),
    save: (rows) => (rows.length > 0 ? saveMessages(store, rows, first) : Promise.resolve()),
    refuse: (row, why) => ({
      ...rejection(row.message, row.part, row.envelope, 'HISTORY_REFUSED', why),
      keep: true,
    }),
  };
}

/** What cannot be read is counted only: the router, which reads the same stream, keeps it as a dead letter. */
export function readHistory(message: PulledMessage): Intake<HistoryRow> {
  const subject = ingressSubject.parse(message.subject);
  if (subject === undefined)
    return { rows: [], rejected: [rejection(message, 0, message.data, 'NOT_INGRESS', '')] };
  const rows: HistoryRow[] = [];
  const rejected: Rejected[] = [];
  let parts: readonly Uint8Array[];
  try {
    parts = IngressPack.decode(message.data).envelopes;
  } catch (error) {
    return { rows, rejected: [rejection(message, 0, message.data, 'PACK_UNDECODABLE', causeChain(error))] };
  }
  for (const [part, bytes] of parts.entries()) {
    const row = readEnvelope(message, part, bytes, subject.org);
    if ('reason' in row) rejected.push(row);
    else rows.push(row);
  }
  return { rows, rejected };
}

function readEnvelope(
  message: PulledMessage,
  part: number,
  bytes: Uint8Array,
  org: string,
): HistoryRow | Rejected {
  let envelope: Envelope;
  try {
    envelope = Envelope.decode(bytes);
  } catch (error) {
    return rejection(message, part, bytes, 'ENVELOPE_UNDECODABLE', causeChain(error));
  }
  if (envelope.org !== org) return rejection(message, part, bytes, 'ENVELOPE_OF_ANOTHER_ORG', '');
  if (!isKeyText(envelope.id)) return rejection(message, part, bytes, 'ENVELOPE_WITHOUT_ID', '');
  return {
    org,
    id: envelope.id,
    acceptedAtUs: envelope.acceptedAtUs,
    ingressAtUs: message.storedAtUs,
    fromAgent: envelope.fromAgent,
    to: envelope.to,
    correlationId: envelope.correlationId,
    envelope: bytes,
    message,
    part,
  };
}

function rejection(
  message: PulledMessage,
  part: number,
  bytes: Uint8Array,
  reason: string,
  detail: string,
): Rejected {
  const org = ingressSubject.parse(message.subject)?.org ?? '';
  const { subject, sequence } = message;
  return { org, reason, detail, stream: 'INGRESS', sequence, part, subject, bytes, keep: false };
}
