/**
 * Tells single messages as events, for orgs that want it: once history has them, and before they are acknowledged, so none
 * is left out; after a crash some are told again, with the same ids.
 */

import { isUtf8 } from 'node:buffer';
import type { Broker } from '@fleetwire/broker';
import { LIMITS, type MessageTold, messageEvent } from '@fleetwire/contract';
import { type Envelope, Stage } from '@fleetwire/gen/message';
import { meansMany, slices } from '@fleetwire/kernel';
import { columnText } from '../domain/column-text.ts';
import { isTextType } from '../domain/history-mode.ts';
import type { SettlementRow } from '../store/settlement-table.ts';

/** `metadata`: all but texts. */
export type EventMode = 'off' | 'metadata' | 'full';

/** Who knows what each org has chosen. */
export type EventModes = (org: string) => EventMode;

export const TELL_NOTHING: EventModes = () => 'off';

/** A choice that this version does not know is one to tell less. */
export function eventMode(chosen: string | undefined): EventMode {
  if (chosen === undefined || chosen === '' || chosen === 'off') return 'off';
  return chosen === 'full' ? 'full' : 'metadata';
}

/** Longest text that an event carries; a longer one is cut, history has all of it. */
const CONTENT_BYTES_MAX = 16 * 1024;
/** Publishes under way. */
const AT_ONCE = 64;

/** Undefined where the org wants none. */
export function sentEvent(envelope: Envelope, mode: EventMode): MessageTold | undefined {
  if (mode === 'off') return undefined;
  const { org, id, correlationId, acceptedAtUs, fromAgent, fromName, to } = envelope;
  return {
    name: meansMany(to) ? 'broadcast' : 'message_sent',
    org,
    id,
    conversation: columnText(correlationId),
    atUs: Number.isSafeInteger(acceptedAtUs) ? acceptedAtUs : 0,
    from: columnText(fromAgent),
    fromName: columnText(fromName),
    to: to.slice(0, LIMITS.addressChars),
    recipient: '',
    content: mode === 'full' ? textOf(envelope) : undefined,
  };
}

/** Told once an agent demonstrably has a message. */
function receivedEvent({
  org,
  messageId: id,
  recipient,
  settlement: { about, atUs },
}: SettlementRow): MessageTold {
  return {
    name: 'message_received',
    org,
    id,
    conversation: columnText(about.correlationId === '' ? id : about.correlationId),
    atUs,
    from: columnText(about.fromAgent),
    fromName: '',
    to: columnText(about.recipientName === '' ? recipient : about.recipientName),
    recipient,
    content: undefined,
  };
}

/** Tells which of settlements that were stored say that an agent has its message; rejects as `tellMessages`. */
export type TellReceived = (rows: readonly SettlementRow[]) => Promise<void>;

export function tellReceived(publish: Broker['store'], modes: EventModes): TellReceived {
  return (rows) => {
    const told = rows.filter((row) => row.settlement.stage === Stage.CONFIRMED && modes(row.org) !== 'off');
    return tellMessages(publish, told.map(receivedEvent));
  };
}

/** Rejects when one cannot be stored: all of them are told again then. */
export async function tellMessages(publish: Broker['store'], all: readonly MessageTold[]): Promise<void> {
  for (const some of slices(all, AT_ONCE))
    await Promise.all(
      some.map((told) => {
        const { subject, payload, msgId } = messageEvent(told);
        return publish(subject, payload, { msgId });
      }),
    );
}

function textOf({ body, contentType }: Envelope): string | undefined {
  if (!isTextType(contentType) || !isUtf8(body)) return undefined;
  // A character that the cut goes through is left out.
  const stream = body.length > CONTENT_BYTES_MAX;
  return new TextDecoder().decode(body.subarray(0, CONTENT_BYTES_MAX), { stream });
}
