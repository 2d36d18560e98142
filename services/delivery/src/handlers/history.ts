/** History from ingress: every accepted message becomes a row, local ones as well. */

import type { Broker, PulledMessage } from '@fleetwire/broker';
import {
  DELIVERY_HISTORY,
  type IngressSubject,
  ingressSubject,
  type MessageTold,
  REPLAYS,
} from '@fleetwire/contract';
import { Envelope, IngressPack } from '@fleetwire/gen/message';
import { causeChain } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { isKeyText } from '../domain/column-text.ts';
import {
  type HistoryMode,
  type HistoryModes,
  isTextType,
  KEEP_ALL,
  withoutBody,
} from '../domain/history-mode.ts';
import { compareText } from '../domain/hops.ts';
import { isAwaited } from '../domain/overdue.ts';
import type { MessageRow } from '../store/message-table.ts';
import { NOTHING_LEFT_OUT, saveMessages } from '../store/message-table.ts';
import type { Origin } from '../store/origin-table.ts';
import { PlainFirst } from '../store/plain-first.ts';
import type { IngestSource, Intake } from './ingest-loop.ts';
import { type EventMode, type EventModes, sentEvent, TELL_NOTHING, tellMessages } from './message-events.ts';
import type { Rejected } from './reject-desk.ts';

export interface HistoryRow extends MessageRow {
  /** What its org wants told of it, once it is stored. */
  readonly told: MessageTold | undefined;
  readonly message: PulledMessage;
  readonly part: number;
}

/** What each org wants of its messages. */
export interface OrgWishes {
  /** What is kept. */
  readonly keep: HistoryModes;
  /** What is told as events. */
  readonly tell: EventModes;
}

const USUAL: OrgWishes = { keep: KEEP_ALL, tell: TELL_NOTHING };
const NO_EVENTS = () => Promise.reject(new Error('no events are told here'));

/** `publish` stores what orgs want told. */
export function historySource(
  store: Store,
  wishes: OrgWishes = USUAL,
  publish: Broker['store'] = NO_EVENTS,
): IngestSource<HistoryRow> {
  const first = new PlainFirst();
  return {
    consumer: DELIVERY_HISTORY,
    read: (message) => readHistory(message, wishes),
    combine: (rows) => rows.sort((a, b) => compareText(a.id, b.id) || compareText(a.org, b.org)),
    save: (rows) => (rows.length > 0 ? saveMessages(store, rows, first) : Promise.resolve()),
    tell: (rows) =>
      tellMessages(
        publish,
        rows.flatMap((row) => row.told ?? []),
      ),
    refuse: (row, error) => ({
      ...rejection(row.message, row.part, row.envelope ?? NOTHING, 'HISTORY_REFUSED', causeChain(error)),
      keep: true,
    }),
  };
}

/** What cannot be read is counted only: the router, which reads the same stream, keeps it as a dead letter. */
export function readHistory(message: PulledMessage, wishes: OrgWishes = USUAL): Intake<HistoryRow> {
  const subject = ingressSubject.parse(message.subject);
  if (subject === undefined)
    return { rows: [], rejected: [rejection(message, 0, message.data, 'NOT_INGRESS', '')] };
  // History has had it when it was sent first.
  if (subject.node === REPLAYS) return { rows: [], rejected: [] };
  const wish = { keep: wishes.keep(subject.org), tell: wishes.tell(subject.org) };
  const rows: HistoryRow[] = [];
  const rejected: Rejected[] = [];
  let parts: readonly Uint8Array[];
  try {
    parts = IngressPack.decode(message.data).envelopes;
  } catch (error) {
    return { rows, rejected: [rejection(message, 0, message.data, 'PACK_UNDECODABLE', causeChain(error))] };
  }
  for (const [part, bytes] of parts.entries()) {
    const row = readEnvelope(message, part, bytes, subject, wish);
    if ('reason' in row) rejected.push(row);
    else rows.push(row);
  }
  return { rows, rejected };
}

function readEnvelope(
  message: PulledMessage,
  part: number,
  bytes: Uint8Array,
  { org, node }: IngressSubject,
  wish: { readonly keep: HistoryMode; readonly tell: EventMode },
): HistoryRow | Rejected {
  let envelope: Envelope;
  try {
    envelope = Envelope.decode(bytes);
  } catch (error) {
    return rejection(message, part, bytes, 'ENVELOPE_UNDECODABLE', causeChain(error));
  }
  if (envelope.org !== org) return rejection(message, part, bytes, 'ENVELOPE_OF_ANOTHER_ORG', '');
  // The router keeps it, as a forgery: what history says of a sender is true.
  if (envelope.fromNode !== node) return rejection(message, part, bytes, 'ENVELOPE_OF_ANOTHER_NODE', '');
  if (!isKeyText(envelope.id)) return rejection(message, part, bytes, 'ENVELOPE_WITHOUT_ID', '');
  return {
    org,
    id: envelope.id,
    acceptedAtUs: envelope.acceptedAtUs,
    ingressAtUs: message.storedAtUs,
    deadlineUs: message.storedAtUs + envelope.ttlMs * 1000,
    fromAgent: envelope.fromAgent,
    to: envelope.to,
    correlationId: envelope.correlationId,
    ...kept(envelope, bytes, wish.keep),
    usedBytes: bytes.length,
    told: sentEvent(envelope, wish.tell),
    message,
    part,
  };
}

const NOTHING = new Uint8Array(0);

/** What of it goes into the table. */
function kept(
  envelope: Envelope,
  bytes: Uint8Array,
  mode: HistoryMode,
): Pick<MessageRow, 'envelope' | 'origin' | 'leftOutBytes' | 'searched'> {
  if (mode === 'off')
    return {
      envelope: undefined,
      origin: originOf(envelope),
      leftOutBytes: NOTHING_LEFT_OUT,
      searched: false,
    };
  const { body, contentType } = envelope;
  if (mode === 'metadata')
    return { envelope: withoutBody(envelope), leftOutBytes: body.length, searched: false };
  const searched = body.length > 0 && isTextType(contentType);
  return { envelope: bytes, leftOutBytes: NOTHING_LEFT_OUT, searched };
}

/** By what is kept of no one's content: `store/origin-table.ts`. */
function originOf(envelope: Envelope): Origin {
  const { fromNode, local, localServed, ttlMs } = envelope;
  return { fromNode, local: local || localServed, awaited: isAwaited(envelope), ttlMs };
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
