/** OpenSubscription: a place in a stream of the org, and credentials for exactly that. */

import { type Subscribed, type SubscriptionPlace, subscriberConsumer } from '@fleetwire/contract';
import type { OpenSubscriptionRequest, OpenSubscriptionResponse } from '@fleetwire/gen/registry';
import { type Caller, isNodePublicKey, JETSTREAM_DOMAIN, subscriberInboxPrefix } from '@fleetwire/identity';
import { FleetwireError, nowMs } from '@fleetwire/kernel';
import { orgClosed, requireOpen } from '../../domain/orgs.ts';
import {
  checkedWhat,
  checkFilter,
  checkName,
  isAdmin,
  noLongerFollower,
  requireFollower,
  startOf,
  subscriberKeyUsed,
  subscriptionDiffers,
  subscriptionsFull,
  subscriptionTaken,
} from '../../domain/subscriptions.ts';
import type { SubscriptionRow } from '../../store/entities.ts';
import type { Opening } from '../../store/subscriptions.ts';
import { namedNode } from '../node-admin.ts';
import type { RegistryParts } from '../parts.ts';
import { close, closeLapsed } from './close-subscription.ts';
import { outOfStanding } from './revoked.ts';
import { shownSubscription, tellOfSubscription } from './shown-subscription.ts';

/**
 * Idempotent by name, filter and key. What was cut short is completed by the next call: first the row, by which credentials
 * are taken back, then the consumer, then the credentials. Throws INVALID_SUBSCRIPTION, SUBSCRIBER_KEY_INVALID, SUBSCRIPTION_*,
 * TOKEN_REVOKED.
 */
export async function openSubscription(
  parts: RegistryParts,
  request: OpenSubscriptionRequest,
  caller: Caller,
): Promise<OpenSubscriptionResponse> {
  const what = checkedWhat(request.what);
  const { org, actor } = requireFollower(caller, what);
  const access = requireOpen(parts.orgs, org);
  const name = checkName(request.name);
  const start = startOf(request);
  if (!isNodePublicKey(request.publicKey)) throw keyInvalid();
  const place = { org, what, name, ...(await filterOf(parts, org, what, request)) };
  const spec = subscriberConsumer(place, start);
  const openedAtMs = nowMs(parts.clock);
  const before = await parts.subscriptions.byName(place);
  const row = {
    org,
    what,
    name,
    filter: spec.filter_subject,
    owner: actor,
    apiKey: caller.key,
    publicKey: request.publicKey,
    openedAtMs,
    deletion: access?.state.deletion ?? 0,
  };
  // Before anything is changed: the place may be another person's.
  if (await isOutOfStanding(parts, row)) throw noLongerFollower();
  const opening = () => parts.subscriptions.open(row, parts.config.subscriptions_max, isAdmin(caller));
  const first = await opening();
  const outcome = first === 'full' && (await closeLapsed(parts, org)) > 0 ? await opening() : first;
  refuse(parts, outcome, org, name, before);
  await closeUnlessStanding(parts, row);
  // Whoever had another key is out before the next one has credentials.
  if (before !== undefined && before.publicKey !== row.publicKey) await parts.settleKeys(org);
  const made = await parts.consumers.open(spec);
  const lifetimeMs =
    1000 * Math.min(request.ttlS || Number.POSITIVE_INFINITY, parts.config.subscription_ttl_s);
  const user = await parts.mintSubscriber({ ...place, publicKey: row.publicKey, lifetimeMs });
  const now = await parts.subscriptions.byName(place);
  if (now === undefined || now.publicKey !== row.publicKey) throw inMotion(name);
  if (made || before === undefined) tellOfSubscription(parts, 'subscription_opened', now, actor, openedAtMs);
  return {
    subscription: await shownSubscription(parts, now),
    userJwt: user.jwt,
    userJwtExpiresAtMs: user.expiresAtMs,
    natsUrls: [...parts.natsUrls],
    inboxPrefix: subscriberInboxPrefix(what, name),
    resumed: !made,
    jetstreamDomain: user.jwt === '' ? '' : JETSTREAM_DOMAIN,
  };
}

/** Who leaves now is seen by `Departures`; who left before the row was there, here. Throws TOKEN_REVOKED. */
async function closeUnlessStanding(parts: RegistryParts, row: Opening): Promise<void> {
  if (!(await isOutOfStanding(parts, row))) return;
  await close(parts, row, 'registry', row.apiKey);
  throw noLongerFollower();
}

async function isOutOfStanding(parts: RegistryParts, row: Opening): Promise<boolean> {
  const access = parts.orgs.get(row.org);
  return access !== undefined && (await outOfStanding(parts, access, [row])).length > 0;
}

async function filterOf(
  parts: RegistryParts,
  org: string,
  what: Subscribed,
  request: OpenSubscriptionRequest,
): Promise<Pick<SubscriptionPlace, 'node' | 'service' | 'event'>> {
  const narrowed = checkFilter(what, request);
  if (request.node === '') return narrowed;
  return { node: (await namedNode(parts, org, request.node)).id };
}

function refuse(
  parts: RegistryParts,
  outcome: Awaited<ReturnType<RegistryParts['subscriptions']['open']>>,
  org: string,
  name: string,
  before: SubscriptionRow | undefined,
): void {
  if (outcome === 'full') throw subscriptionsFull(parts.config.subscriptions_max);
  if (outcome === 'differs') throw subscriptionDiffers(name, before?.filter ?? '');
  if (outcome === 'not_yours') throw subscriptionTaken(name);
  if (outcome === 'key_used') throw subscriberKeyUsed();
  if (outcome === 'org_cleared') throw orgClosed(org);
}

const keyInvalid = (): FleetwireError =>
  new FleetwireError('invalid_argument', 'SUBSCRIBER_KEY_INVALID', 'the public key is not a NATS user key', {
    help: 'Make an NKEY pair of the type user and give its public half, which begins with U.',
  });

const inMotion = (name: string): FleetwireError =>
  new FleetwireError('aborted', 'NAME_IN_MOTION', `"${name}" is being opened and closed`, {
    retryAfterMs: 100,
  });
