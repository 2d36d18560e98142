/** Receipts: what became of messages, merged by message and recipient before they reach the database. */

import type { PulledMessage } from '@fleetwire/broker';
import {
  completeReceipt,
  DELIVERY_RECEIPTS,
  type ReceiptSubject,
  receiptFault,
  receiptSubject,
  speakerOfService,
} from '@fleetwire/contract';
import { IngressPack, Receipt } from '@fleetwire/gen/message';
import { causeChain, FleetwireError } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { isKeyText } from '../domain/column-text.ts';
import type { Homes } from '../domain/homes.ts';
import { type Contradicted, mergeSettlements, settlementOf } from '../domain/settlement.ts';
import { DOUBTS_FULL, DOUBTS_MAX } from '../domain/verdict.ts';
import { DoubtRoom } from '../store/doubt-room.ts';
import { type DoubtRow, saveDoubts } from '../store/doubt-table.ts';
import { PlainFirst } from '../store/plain-first.ts';
import type { SettlementRow } from '../store/settlement-table.ts';
import { compareSettlementRows, insertSettlements, saveSettlements } from '../store/settlement-table.ts';
import type { IngestSource, Intake } from './ingest-loop.ts';
import type { TellReceived } from './message-events.ts';
import { type Ended, FULL_QUEUE_REASONS } from './overflow-report.ts';
import type { Rejected } from './reject-desk.ts';

export interface ReceiptRow extends SettlementRow {
  /** One of the messages that it came with. */
  readonly message: PulledMessage;
  readonly part: number;
  readonly bytes: Uint8Array;
  /** It is not known yet whether its publisher may say so: it settles nothing until then. */
  readonly doubt: DoubtRow | undefined;
}

export interface ReceiptParts {
  readonly store: Store;
  /** Whose word counts at once. */
  readonly homes: Pick<Homes, 'isHome'>;
  /** For receipts in doubt; default: DOUBTS_MAX of each publisher. */
  readonly room?: DoubtRoom;
  /** Told what full queues have ended, once history has it. */
  readonly stored?: (ended: readonly Ended[]) => void;
  /** Tells what has been received, before it is acknowledged. */
  readonly received?: TellReceived;
  /** Told of each second end that was refused. */
  readonly contradicted?: Contradicted;
}

export function receiptSource(parts: ReceiptParts): IngestSource<ReceiptRow> {
  const { store, homes, room = new DoubtRoom(DOUBTS_MAX), stored, received, contradicted } = parts;
  const first = new PlainFirst();
  return {
    consumer: DELIVERY_RECEIPTS,
    read: (message) => readReceipts(message, homes),
    combine: (rows) => combineReceipts(rows, contradicted),
    save: async (rows, refuse) => {
      const doubts = rows.flatMap(({ doubt }) => doubt ?? []);
      const settled = doubts.length === 0 ? rows : rows.filter(({ doubt }) => doubt === undefined);
      const merge = () => store.transaction((tx) => saveSettlements(tx, settled, contradicted));
      if (settled.length > 0) await first.run(() => insertSettlements(store, settled), merge);
      // By themselves: a forged one must not take the quick way from all others. Both may be repeated.
      if (doubts.length > 0) {
        const beyond = await store.transaction((tx) => saveDoubts(tx, doubts, room));
        for (const row of rows)
          if (row.doubt !== undefined && beyond.has(row.doubt)) refuse?.(row, doubtsFull());
      }
      const ended = settled.filter(isEndOfFullQueue);
      if (ended.length > 0) stored?.(ended.map(endOf));
    },
    tell: async (rows) => received?.(rows.filter(({ doubt }) => doubt === undefined)),
    refuse: (row, error) => {
      const isFull = error instanceof FleetwireError && error.reason === DOUBTS_FULL;
      const reason = isFull ? DOUBTS_FULL : 'RECEIPT_REFUSED';
      return rejection(row.message, row.part, row.bytes, reason, causeChain(error), row);
    },
  };
}

function doubtsFull(): FleetwireError {
  return new FleetwireError('resource_exhausted', DOUBTS_FULL, 'too many receipts of its node are in doubt', {
    help: 'See what the node publishes: some is in dead letters of this reason. `doubts_open_max` of delivery is the bound.',
  });
}

/** What is in doubt stays by itself, behind the rest. */
function combineReceipts(rows: ReceiptRow[], contradicted: Contradicted | undefined): ReceiptRow[] {
  const doubtful = rows.filter(({ doubt }) => doubt !== undefined);
  if (doubtful.length === 0) return combineSettlements(rows, contradicted);
  const clear = rows.filter(({ doubt }) => doubt === undefined);
  return [...combineSettlements(clear, contradicted), ...doubtful];
}

function isEndOfFullQueue({ settlement }: ReceiptRow): boolean {
  return settlement.final && FULL_QUEUE_REASONS.has(settlement.reason);
}

function endOf({ org, recipient, settlement, message }: ReceiptRow): Ended {
  const publisher = receiptSubject.parse(message.subject)?.from ?? '';
  return { org, recipient, reason: settlement.reason, publisher, sequence: message.sequence };
}

/** One row for each message and recipient, in the order in which rows are locked. */
export function combineSettlements<Row extends SettlementRow>(
  rows: Row[],
  contradicted?: Contradicted,
): Row[] {
  const sorted = rows.sort(compareSettlementRows);
  const combined: Row[] = [];
  for (const row of sorted) {
    const last = combined.at(-1);
    if (last === undefined || compareSettlementRows(last, row) !== 0) combined.push(row);
    else {
      contradicted?.(last.settlement, row.settlement);
      const settlement = mergeSettlements(last.settlement, row.settlement);
      combined[combined.length - 1] = { ...last, settlement, encoded: undefined };
    }
  }
  return combined;
}

/**
 * A receipt is filed under the org in its subject, which the broker enforces: about another org's message it says
 * nothing. Who published it is the subject's last token, a node or a service, and is kept with the settlement.
 */
export function readReceipts(message: PulledMessage, homes: Pick<Homes, 'isHome'>): Intake<ReceiptRow> {
  const subject = receiptSubject.parse(message.subject);
  if (subject === undefined) return refused(message, 'NOT_A_RECEIPT', '');
  let parts: readonly Uint8Array[];
  try {
    // A list of receipts and a list of byte strings are the same on the wire: so each keeps its bytes, and one that
    // cannot be read does not take the others with it (https://protobuf.dev/programming-guides/proto3/#updating).
    parts = IngressPack.decode(message.data).envelopes;
  } catch (error) {
    return refused(message, 'RECEIPTS_UNDECODABLE', causeChain(error));
  }
  const rows: ReceiptRow[] = [];
  const rejected: Rejected[] = [];
  for (const [part, bytes] of parts.entries()) {
    const row = readReceipt(message, part, bytes, subject, homes);
    if ('reason' in row) rejected.push(row);
    else rows.push(row);
  }
  return { rows, rejected };
}

function readReceipt(
  message: PulledMessage,
  part: number,
  bytes: Uint8Array,
  { org, toNode, from: publisher }: ReceiptSubject,
  homes: Pick<Homes, 'isHome'>,
): ReceiptRow | Rejected {
  let receipt: Receipt;
  try {
    receipt = completeReceipt(Receipt.decode(bytes), publisher);
  } catch (error) {
    return rejection(message, part, bytes, 'RECEIPT_UNDECODABLE', causeChain(error));
  }
  const { messageId, recipient } = receipt;
  if (!isKeyText(messageId) || (recipient !== '' && !isKeyText(recipient)))
    return rejection(message, part, bytes, 'RECEIPT_WITHOUT_ID', '');
  const { storedAtUs, sequence } = message;
  const service = speakerOfService(publisher);
  const certain = service !== undefined || homes.isHome(org, recipient, publisher, storedAtUs);
  // Of one in doubt it is said later; whoever it is, some things nobody says.
  const fault = receiptFault(receipt, service ?? 'recipient');
  if (fault !== undefined) return rejection(message, part, bytes, fault, '', receipt);
  const settlement = settlementOf(receipt, publisher, storedAtUs);
  if (settlement === undefined) return rejection(message, part, bytes, 'RECEIPT_STAGE_UNKNOWN', '', receipt);
  const encoded = settlement.hops === receipt.hops ? bytes : undefined;
  const place = { stream: 'RECEIPTS', sequence, part, storedAtUs } as const;
  const doubt = certain
    ? undefined
    : { ...place, org, messageId, recipient, publisher, toNode, receipt: bytes };
  return { org, messageId, recipient, settlement, storedAtUs, encoded, message, part, bytes, doubt };
}

function refused(message: PulledMessage, reason: string, detail: string): Intake<ReceiptRow> {
  return { rows: [], rejected: [rejection(message, 0, message.data, reason, detail)] };
}

function rejection(
  message: PulledMessage,
  part: number,
  bytes: Uint8Array,
  reason: string,
  detail: string,
  { recipient, messageId }: Pick<ReceiptRow, 'recipient' | 'messageId'> = NOT_READ,
): Rejected {
  const { org = '', from: publisher = '' } = receiptSubject.parse(message.subject) ?? {};
  const { subject, sequence } = message;
  const isNode = publisher !== '' && speakerOfService(publisher) === undefined;
  const word = isNode ? { publisher, recipient, messageId } : undefined;
  return { org, reason, detail, stream: 'RECEIPTS', sequence, part, subject, bytes, keep: org !== '', word };
}

const NOT_READ = { recipient: '', messageId: '' };
