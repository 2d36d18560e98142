/** What `subscribe` shows of receipts, events, messages and dead letters: documents with stable fields, and lines for people. */

import { completeReceipt, nodeDeadSubject, receiptSubject } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import { DeadLetter, Envelope, type Receipt, ReceiptBatch } from '@fleetwire/gen/message';
import type { Subscription } from '@fleetwire/gen/registry';
import { isoOrNull, visible } from './output.ts';
import { stageName } from './trace-document.ts';

export interface Shown {
  readonly document: object;
  readonly line: string;
}

export interface Heard {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  /** Broker time, microseconds. */
  readonly storedAtUs: number;
}

/** All that one message says: a batch of receipts is several. What cannot be read is shown as that. */
export function shownOf(what: string, heard: Heard): readonly Shown[] {
  try {
    if (what === 'receipts') return receiptsOf(heard);
    return [what === 'dead' ? letterOf(heard) : eventOf(heard)];
  } catch {
    const document = { ...headOf(heard), unreadable: true };
    return [{ document, line: `${timeOf(heard)}  ${heard.subject}  cannot be read by this version` }];
  }
}

const headOf = ({ sequence, storedAtUs, subject }: Heard) => ({
  sequence,
  stored_at: new Date(storedAtUs / 1000).toISOString(),
  subject,
});
const timeOf = ({ storedAtUs }: Heard) => new Date(storedAtUs / 1000).toISOString().slice(11, 23);

function receiptsOf(heard: Heard): Shown[] {
  const { from, toNode } = receiptSubject.parse(heard.subject)!;
  return ReceiptBatch.decode(heard.data).receipts.map((each) => {
    const receipt = completeReceipt(each, from);
    return {
      document: { ...headOf(heard), from, to_node: toNode, ...receiptFields(receipt) },
      line: lineOf(heard, receipt),
    };
  });
}

function receiptFields(receipt: Receipt): object {
  const { messageId, fromAgent, recipient, recipientName, to, final, reason, detail, correlationId } =
    receipt;
  return {
    message: messageId,
    from_agent: fromAgent,
    to,
    recipient,
    recipient_name: recipientName,
    stage: stageName(receipt.stage),
    final,
    reason,
    detail,
    correlation_id: correlationId,
  };
}

function lineOf(heard: Heard, { messageId, recipientName, to, stage, reason }: Receipt): string {
  const said = `${timeOf(heard)}  ${messageId}  ${stageName(stage)}  ${recipientName || to}`;
  return visible(reason === '' ? said : `${said}  ${reason}`);
}

function eventOf(heard: Heard): Shown {
  const { id, service, name, atMs, actor, target, details, usage } = Event.decode(heard.data);
  const document = {
    ...headOf(heard),
    id,
    service,
    name,
    at: isoOrNull(atMs),
    actor,
    target,
    details,
    ...(usage === undefined ? {} : { usage }),
  };
  const more = Object.entries(details).map(([key, value]) => `${key}=${value}`);
  return {
    document,
    line: visible(
      `${timeOf(heard)}  ${service}.${name}  ${target}  by ${actor}  ${more.join(' ')}`.trimEnd(),
    ),
  };
}

function letterOf(heard: Heard): Shown {
  const letter = DeadLetter.decode(heard.data);
  const envelope = letter.decoded ? Envelope.decode(letter.envelope) : undefined;
  const { reason, detail } = letter;
  const document = {
    ...headOf(heard),
    from: nodeDeadSubject.parse(heard.subject)?.node ?? '',
    reason,
    detail,
    message: envelope?.id ?? null,
    from_name: envelope?.fromName ?? null,
    to: envelope?.to ?? null,
    body_base64: envelope === undefined ? null : Buffer.from(envelope.body).toString('base64'),
    letter_base64: Buffer.from(heard.data).toString('base64'),
  };
  const line = `${timeOf(heard)}  ${envelope?.id ?? '-'}  ${envelope?.to ?? ''}  ${reason}  ${detail}`;
  return { document, line: visible(line.trimEnd()) };
}

export function subscriptionDocument(s: Subscription): object {
  return {
    name: s.name,
    what: s.what,
    stream: s.stream,
    consumer: s.consumer,
    filter: s.filter,
    owner: s.owner,
    created_at: isoOrNull(s.createdAtMs),
    opened_at: isoOrNull(s.openedAtMs),
    pending: s.pending,
    ack_pending: s.ackPending,
    lapsed: s.lapsed,
  };
}
