/** The event by which delivery tells that a full queue has returned or ended messages. */

import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { EVENT_NAMES, eventSubject } from './subjects.ts';

export interface OverflowTold {
  readonly id: string;
  readonly org: string;
  /** Who tells. */
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** Whose queue it was: an agent's id. */
  readonly agent: string;
  /** Who said so: a node's id, or `router` for the queue of an agent whose node is away. */
  readonly node: string;
  /** QUEUE_FULL, QUEUE_OVERFLOW or INBOX_FULL. */
  readonly reason: string;
  /** Messages that it ended, within about a second. */
  readonly count: number;
}

/** As it goes to EVENTS. */
export function overflowEvent(told: OverflowTold): {
  readonly subject: string;
  readonly payload: Uint8Array;
} {
  const { id, org, service, atMs, agent, node, reason, count } = told;
  const name = EVENT_NAMES.overflow;
  const details = { agent, node, reason, count: String(count) };
  const event = { id, org, service, name, atMs, actor: service, target: agent, details, usage: undefined };
  return { subject: eventSubject.build({ org, service, name }), payload: encode(Event, event) };
}
