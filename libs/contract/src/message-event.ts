/** The events by which delivery tells single messages, of orgs that want it. */

import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import type { MessageEventName } from './events.ts';
import { messageEventSubject } from './subjects.ts';

export interface MessageTold {
  /** message_sent to one agent, broadcast to many, message_received by one. */
  readonly name: MessageEventName;
  readonly org: string;
  /** Of the message. */
  readonly id: string;
  readonly conversation: string;
  /** Microseconds since the epoch, broker time: accepted, or confirmed. */
  readonly atUs: number;
  /** Agent id; the name where it is known. */
  readonly from: string;
  readonly fromName: string;
  /** The address as the sender wrote it; of what was received, the recipient's name or id. */
  readonly to: string;
  /** Of what was received: the recipient's id. */
  readonly recipient: string;
  /** What the org wants told of a text; undefined: nothing. */
  readonly content: string | undefined;
}

/** Who tells. */
const SERVICE = 'delivery';

/** As it goes to MESSAGES; told again, it has the same id. */
export function messageEvent(told: MessageTold): {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly msgId: string;
} {
  const {
    name,
    org,
    id: message_id,
    conversation: correlation_id,
    from,
    fromName,
    to,
    recipient,
    content,
  } = told;
  const id = `${SERVICE}-${name}-${org}-${message_id}-${recipient}`;
  const about = {
    message_id,
    correlation_id,
    from,
    from_name: fromName,
    to,
    recipient,
    content: content ?? '',
  };
  const details = Object.fromEntries(Object.entries(about).filter(([, value]) => value !== ''));
  const atMs = Math.floor(told.atUs / 1000);
  const event = { id, org, service: SERVICE, name, atMs, actor: from, target: message_id, details };
  return {
    subject: messageEventSubject.build({ org, name }),
    payload: encode(Event, { ...event, usage: undefined }),
    msgId: id,
  };
}
