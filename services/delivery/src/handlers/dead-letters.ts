/** Dead letters: kept as they were published, and, where they carry their own last hop, settled as dead. */

import type { PulledMessage } from '@fleetwire/broker';
import {
  DELIVERY_DEAD,
  deadSubject,
  nodeDeadSubject,
  receiptFault,
  UNKNOWN_RECIPIENT,
} from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { DeadLetter, Envelope, type Receipt, Receipt as ReceiptCodec, Stage } from '@fleetwire/gen/message';
import { causeChain } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { isKeyText } from '../domain/column-text.ts';
import { type HistoryMode, type HistoryModes, KEEP_ALL, withoutBody } from '../domain/history-mode.ts';
import type { Homes } from '../domain/homes.ts';
import { settlementOf } from '../domain/settlement.ts';
import { DOUBTS_MAX } from '../domain/verdict.ts';
import type { DeadLetterRow } from '../store/dead-letter-table.ts';
import { saveDeadLetters } from '../store/dead-letter-table.ts';
import { DoubtRoom } from '../store/doubt-room.ts';
import { type DoubtRow, saveDoubts } from '../store/doubt-table.ts';
import type { SettlementRow } from '../store/settlement-table.ts';
import { saveSettlements } from '../store/settlement-table.ts';
import type { IngestSource, Intake } from './ingest-loop.ts';
import { combineSettlements } from './receipts.ts';
import type { Rejected } from './reject-desk.ts';

export interface LetterRow extends DeadLetterRow {
  /** Undefined when the letter does not say where and when the message died: its receipt does. */
  readonly settled: SettlementRow | undefined;
  /** In place of it: it is not known yet whether its node may say so. */
  readonly doubt: DoubtRow | undefined;
  readonly message: PulledMessage;
}

/** `modes`: of which orgs bodies are kept. `room`: for what is in doubt. */
export function deadLetterSource(
  store: Store,
  homes: Pick<Homes, 'isHome'>,
  modes: HistoryModes = KEEP_ALL,
  room = new DoubtRoom(DOUBTS_MAX),
): IngestSource<LetterRow> {
  return {
    consumer: DELIVERY_DEAD,
    read: (message) => readDeadLetter(message, homes, modes),
    combine: (rows) => rows.sort((a, b) => a.sequence - b.sequence),
    save: (rows) =>
      store.transaction(async (tx) => {
        await saveDeadLetters(tx, rows);
        await saveSettlements(tx, combineSettlements(rows.flatMap((row) => row.settled ?? [])));
        // Beyond what may be in doubt the letter is kept all the same: it only settles nothing.
        await saveDoubts(
          tx,
          rows.flatMap((row) => row.doubt ?? []),
          room,
        );
      }),
    refuse: (row, error) => rejection(row.message, 'DEAD_LETTER_REFUSED', causeChain(error)),
  };
}

export function readDeadLetter(
  message: PulledMessage,
  homes: Pick<Homes, 'isHome'>,
  modes: HistoryModes = KEEP_ALL,
): Intake<LetterRow> {
  const subject = authorOf(message.subject);
  if (subject === undefined) return { rows: [], rejected: [rejection(message, 'NOT_A_DEAD_LETTER', '')] };
  try {
    const letter = DeadLetter.decode(message.data);
    const envelope = letter.decoded ? Envelope.decode(letter.envelope) : undefined;
    const { org, agent, node } = subject;
    const row: LetterRow = {
      storedAtUs: message.storedAtUs,
      sequence: message.sequence,
      org,
      agent,
      messageId: envelope !== undefined && envelope.org === org ? envelope.id : '',
      reason: letter.reason,
      detail: letter.detail,
      author: node,
      ...saidBy(envelope?.org === org ? envelope : undefined),
      ...kept(letter, envelope, modes(org), message.data),
      ...endOf(letter, envelope, message, subject, homes),
      message,
    };
    return { rows: [row], rejected: [] };
  } catch (error) {
    return { rows: [], rejected: [rejection(message, 'DEAD_LETTER_UNDECODABLE', causeChain(error))] };
  }
}

/** As it came, or without what was in the body; of what cannot be decoded nobody knows where that is. */
function kept(
  letter: DeadLetter,
  envelope: Envelope | undefined,
  mode: HistoryMode,
  whole: Uint8Array,
): Pick<DeadLetterRow, 'bodyKept' | 'letter'> {
  const bytes = envelope === undefined ? letter.envelope : envelope.body;
  if (mode === 'full' || bytes.length === 0) return { bodyKept: true, letter: whole };
  const left = envelope === undefined ? new Uint8Array(0) : withoutBody(envelope);
  return { bodyKept: false, letter: encode(DeadLetter, { ...letter, envelope: left }) };
}

/** What the envelope says, where it is of the org and could be decoded. */
function saidBy(envelope: Envelope | undefined) {
  const { attempt = 0, fromAgent = '', fromName = '', to = '' } = envelope ?? {};
  return { attempt, fromAgent, fromName, to };
}

interface Author {
  readonly org: string;
  readonly agent: string;
  /** The node that says so, which the broker enforces; empty: a service. */
  readonly node: string;
}

function authorOf(subject: string): Author | undefined {
  const ofService = deadSubject.parse(subject);
  return ofService === undefined ? nodeDeadSubject.parse(subject) : { ...ofService, node: '' };
}

type End = Pick<LetterRow, 'settled' | 'doubt'>;
const NO_END: End = { settled: undefined, doubt: undefined };

/** What the letter settles. A node speaks about its own part only, and of agents that live on it. */
function endOf(
  letter: DeadLetter,
  envelope: Envelope | undefined,
  message: PulledMessage,
  { org, agent, node }: Author,
  homes: Pick<Homes, 'isHome'>,
): End {
  const death = letter.hops.findLast((hop) => hop.stage === Stage.DEAD);
  if (envelope === undefined || death === undefined) return NO_END;
  if (envelope.org !== org || !isKeyText(envelope.id)) return NO_END;
  if (node !== '' && (death.service !== 'node' || death.instance !== node)) return NO_END;
  const { id: messageId, to, fromAgent, correlationId, traceparent, attempt } = envelope;
  const { reason, detail, hops } = letter;
  const recipient = agent === UNKNOWN_RECIPIENT ? '' : agent;
  const about = { messageId, recipient, to, fromAgent, correlationId, traceparent, recipientName: '' };
  const end = { stage: Stage.DEAD, final: true, reason, detail, hops };
  const receipt: Receipt = { ...about, ...end, fanOut: 0, attempt, proof: undefined };
  const { sequence, storedAtUs } = message;
  if (node !== '' && receiptFault(receipt, 'recipient') !== undefined) return NO_END;
  if (node !== '' && !homes.isHome(org, recipient, node, storedAtUs)) {
    const place = { stream: 'DEAD', sequence, part: 0, storedAtUs } as const;
    const word = { org, messageId, recipient, publisher: node, toNode: node };
    return { settled: undefined, doubt: { ...place, ...word, receipt: encode(ReceiptCodec, receipt) } };
  }
  const publisher = death.service === 'node' ? death.instance : death.service;
  const settlement = settlementOf(receipt, isKeyText(publisher) ? publisher : 'router', death.atUs);
  const row = { org, messageId, recipient, storedAtUs, encoded: undefined };
  return { settled: settlement && { ...row, settlement }, doubt: undefined };
}

/** A dead letter that fails is not kept as another one. */
function rejection(message: PulledMessage, reason: string, detail: string): Rejected {
  const { subject, sequence, data: bytes } = message;
  const org = authorOf(subject)?.org ?? '';
  return { org, reason, detail, stream: 'DEAD', sequence, part: 0, subject, bytes, keep: false };
}
