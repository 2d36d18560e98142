/** What a subscription may be, and who may have it: all that is decided before anything is made. */

import type { OrgAccess } from '@fleetwire/access';
import {
  isMessageEvent,
  isSubjectToken,
  isSubscribed,
  isSubscriptionName,
  type Subscribed,
  type SubscriptionStart,
} from '@fleetwire/contract';
import type { OpenSubscriptionRequest } from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, printable } from '@fleetwire/kernel';
import { requirePerson } from './agent-callers.ts';
import { isClosed } from './orgs.ts';

/** Receipts tell what messages there are, as the history does; events and letters tell what the audit and bodies do. */
const SCOPES: Readonly<Record<Subscribed, readonly string[]>> = {
  receipts: ['read', 'admin'],
  events: ['admin'],
  messages: ['admin'],
  dead: ['admin'],
};

/** Throws NOT_A_PERSON, SCOPE_MISSING. */
export const requireFollower = (caller: Caller, what: Subscribed) => requirePerson(caller, SCOPES[what]);

export const mayFollow = (scopes: readonly string[], what: string): boolean =>
  isSubscribed(what) && SCOPES[what].some((scope) => scopes.includes(scope));

/** Of a subscription: who opened it last, and the API key by which. */
export interface Follower {
  readonly owner: string;
  readonly apiKey: string;
  readonly what: string;
}

/**
 * By what every service is told of the org. `unsaid`: all tokens of the person or of the org were refused, also those of keys
 * that are still good, so nothing is said of one. A revocation counts whenever it was: keys are revoked for good, and a place
 * may have been made by a token from before.
 */
export function standingOf(
  access: OrgAccess,
  { owner, apiKey }: Pick<Follower, 'owner' | 'apiKey'>,
): 'good' | 'out' | 'unsaid' {
  const { departed, revocations } = access.state;
  const revoked = (kind: string, subject: string) =>
    revocations.some((each) => each.kind === kind && each.subject === subject);
  if (isClosed(access) || departed.some(({ user }) => user === owner) || revoked('key', apiKey)) return 'out';
  return revoked('user', owner) || revocations.some(({ kind }) => kind === 'org') ? 'unsaid' : 'good';
}

export const isAdmin = (caller: Caller): boolean => caller.kind === 'user' && caller.scopes.includes('admin');

/** Throws INVALID_SUBSCRIPTION. */
export function checkedWhat(what: string): Subscribed {
  if (isSubscribed(what)) return what;
  throw invalid(`"${printable(what)}" cannot be followed`, 'Follow receipts, events, messages or dead.');
}

/** Throws INVALID_SUBSCRIPTION. */
export function checkName(name: string): string {
  if (isSubscriptionName(name)) return name;
  throw invalid(
    `"${printable(name)}" is no name of a subscription`,
    'Use 1 to 32 lowercase letters, digits and hyphens.',
  );
}

/** What narrows it, as far as it fits to what is followed; throws INVALID_SUBSCRIPTION. */
export function checkFilter(what: Subscribed, { node, service, event }: OpenSubscriptionRequest) {
  if (node !== '' && what !== 'receipts') throw invalid('only receipts are of a node', 'Leave the node out.');
  if (service !== '' && what !== 'events')
    throw invalid('only events are of a service', 'Leave the service out.');
  if (event !== '' && what !== 'events' && what !== 'messages')
    throw invalid('only events and messages have a name', 'Leave the event out.');
  if (what === 'events' && isMessageEvent(event))
    throw invalid(
      `${event} is told among the messages of the org`,
      `Follow messages with the event ${event}.`,
    );
  for (const part of [service, event])
    if (part !== '' && !isSubjectToken(part))
      throw invalid(
        `"${printable(part)}" is no name of a service or of an event`,
        'Use lowercase letters, digits, hyphens and underscores, as in subjects.',
      );
  return { service: service || undefined, event: event || undefined };
}

const TIME_MAX_MS = 253_402_300_799_000;

/** Throws INVALID_SUBSCRIPTION. */
export function startOf({
  from,
  fromMs,
}: Pick<OpenSubscriptionRequest, 'from' | 'fromMs'>): SubscriptionStart {
  if (from === '' || from === 'new') return 'new';
  if (from === 'all') return 'all';
  if (from === 'time' && fromMs > 0 && fromMs <= TIME_MAX_MS) return { time: new Date(fromMs).toISOString() };
  throw invalid(
    `a subscription cannot begin at "${printable(from)}"`,
    'Use new, all, or time with a moment in from_ms.',
  );
}

function invalid(message: string, help: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_SUBSCRIPTION', message, { help });
}

export const subscriptionsFull = (limit: number): FleetwireError =>
  new FleetwireError('resource_exhausted', 'SUBSCRIPTION_LIMIT', `the org has ${limit} subscriptions`, {
    help: 'Close one that is not needed, or have FLEETWIRE_REGISTRY_SUBSCRIPTIONS_MAX raised.',
    details: { limit: String(limit) },
  });

export const subscriptionDiffers = (name: string, filter: string): FleetwireError =>
  new FleetwireError(
    'already_exists',
    'SUBSCRIPTION_DIFFERS',
    `there is a subscription "${name}" with another filter: ${filter}`,
    {
      help: 'Choose another name (--name), or close that one first (fleetwire subscription close): its place is forgotten then.',
      details: { filter },
    },
  );

/** The same whether it is somebody else's or is not there at all. */
export const subscriptionUnknown = (what: string, name: string): FleetwireError =>
  new FleetwireError('not_found', 'SUBSCRIPTION_UNKNOWN', `you have no subscription "${name}" to ${what}`, {
    help: '`fleetwire subscription list` shows those that there are.',
  });

export const subscriptionTaken = (name: string): FleetwireError =>
  new FleetwireError('already_exists', 'SUBSCRIPTION_TAKEN', `another person has a subscription "${name}"`, {
    help: 'Choose another name; an admin may take that one over.',
  });

/** To whoever was let in by a token that is not good any more, and has to be out again. */
export const noLongerFollower = (): FleetwireError =>
  new FleetwireError(
    'unauthenticated',
    'TOKEN_REVOKED',
    'you have left the org, or your API key was revoked, or it may not follow this any more',
    {
      help: 'Exchange an API key that is still good for a new token; if you have none, ask an admin of the org.',
    },
  );

export const subscriberKeyUsed = (): FleetwireError =>
  new FleetwireError(
    'failed_precondition',
    'SUBSCRIBER_KEY_USED',
    'this key is of another subscription, or was shut out before',
    { help: 'Make a new NKEY pair for each subscription.' },
  );
