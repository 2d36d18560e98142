/** Programs outside of the fabric that follow a stream of their org: what they can follow, and by which consumer. */

import type { ConsumerSpec } from './streams.ts';
import { filters } from './subjects.ts';

const SECOND_NS = 1_000_000_000;

/** What can be followed, and the stream that it is in. */
export const SUBSCRIBED = {
  receipts: 'RECEIPTS',
  events: 'EVENTS',
  messages: 'MESSAGES',
  dead: 'DEAD',
} as const;
export type Subscribed = keyof typeof SUBSCRIBED;

export function isSubscribed(what: string): what is Subscribed {
  return Object.hasOwn(SUBSCRIBED, what);
}

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** 1 to 32 lowercase letters, digits and hyphens: it becomes a part of the consumer's name. */
export function isSubscriptionName(name: string): boolean {
  return NAME.test(name);
}

export const SUBSCRIBER_LIMITS = {
  /** Messages that a subscriber may hold without having acknowledged them. */
  ackPending: 1000,
  /** Seconds after which one that was not acknowledged comes again. */
  ackWaitS: 60,
  /** Seconds without a pull after which the consumer is gone, and its place with it. */
  inactiveS: 24 * 3600,
} as const;

/** Narrows what is followed; what is not said is not narrowed. */
export interface SubscriptionFilter {
  /** Receipts: those about what agents of this node sent. */
  readonly node?: string | undefined;
  /** Events: of this service. */
  readonly service?: string | undefined;
  /** Events, and events about messages: of this name. */
  readonly event?: string | undefined;
}

/** Where a new consumer begins; a moment is RFC 3339. */
export type SubscriptionStart = 'new' | 'all' | { readonly time: string };

export interface SubscriptionPlace extends SubscriptionFilter {
  readonly org: string;
  readonly what: Subscribed;
  readonly name: string;
}

/** Always within the org. */
export function subscriptionSubject({ org, what, node, service, event }: SubscriptionPlace): string {
  if (what === 'dead') return filters.deadOfOrg(org);
  if (what === 'messages') return filters.messageEventsOfOrg(org, event);
  if (what === 'events') return filters.eventsOfOrg(org, service, event);
  return node === undefined ? filters.receiptsOfOrg(org) : filters.receiptsToNode(org, node);
}

/** Not taken by another org: ids of orgs have no hyphen, and all have one length. */
export const subscriberConsumerName = (org: string, name: string): string => `sub-${org}-${name}`;

export function subscriberConsumer(place: SubscriptionPlace, start: SubscriptionStart = 'all'): ConsumerSpec {
  const { ackPending, ackWaitS, inactiveS } = SUBSCRIBER_LIMITS;
  return {
    stream: SUBSCRIBED[place.what],
    durable_name: subscriberConsumerName(place.org, place.name),
    filter_subject: subscriptionSubject(place),
    ack_policy: 'explicit',
    ...(typeof start === 'string'
      ? { deliver_policy: start }
      : { deliver_policy: 'by_start_time', opt_start_time: start.time }),
    ack_wait: ackWaitS * SECOND_NS,
    max_deliver: -1,
    max_ack_pending: ackPending,
    inactive_threshold: inactiveS * SECOND_NS,
  };
}
