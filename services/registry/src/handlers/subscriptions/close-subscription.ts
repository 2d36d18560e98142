/** ListSubscriptions and CloseSubscription, and closing what nobody follows any more. */

import { SUBSCRIBER_LIMITS } from '@fleetwire/contract';
import type {
  CloseSubscriptionRequest,
  CloseSubscriptionResponse,
  ListSubscriptionsRequest,
  ListSubscriptionsResponse,
} from '@fleetwire/gen/registry';
import type { Caller } from '@fleetwire/identity';
import { nowMs } from '@fleetwire/kernel';
import { requirePerson } from '../../domain/agent-callers.ts';
import { requireOpen } from '../../domain/orgs.ts';
import { checkedWhat, isAdmin, subscriptionUnknown } from '../../domain/subscriptions.ts';
import type { Opening } from '../../store/subscriptions.ts';
import type { RegistryParts } from '../parts.ts';
import { consumerOf, shownSubscription, tellOfSubscription } from './shown-subscription.ts';

export async function listSubscriptions(
  parts: RegistryParts,
  _request: ListSubscriptionsRequest,
  caller: Caller,
): Promise<ListSubscriptionsResponse> {
  const { org, actor } = requirePerson(caller, ['read', 'admin']);
  const rows = await parts.subscriptions.ofOrg(org);
  const shown = isAdmin(caller) ? rows : rows.filter(({ owner }) => owner === actor);
  return { subscriptions: await Promise.all(shown.map((row) => shownSubscription(parts, row))) };
}

/** Throws SUBSCRIPTION_UNKNOWN. */
export async function closeSubscription(
  parts: RegistryParts,
  request: CloseSubscriptionRequest,
  caller: Caller,
): Promise<CloseSubscriptionResponse> {
  const what = checkedWhat(request.what);
  const { org, actor } = requirePerson(caller, ['read', 'admin']);
  requireOpen(parts.orgs, org);
  const row = await parts.subscriptions.byName({ org, what, name: request.name });
  if (row === undefined || (row.owner !== actor && !isAdmin(caller)))
    throw subscriptionUnknown(what, request.name);
  await close(parts, row, actor);
  return {};
}

export type CloseParts = Pick<
  RegistryParts,
  'subscriptions' | 'consumers' | 'settleKeys' | 'announcer' | 'clock' | 'log'
>;

/**
 * The servers refuse its key when this resolves; upkeep tells them where they cannot be told now. `apiKey`: only while it is
 * still the one by which it was opened last.
 */
export async function close(parts: CloseParts, row: Opening, actor: string, apiKey?: string): Promise<void> {
  const now = nowMs(parts.clock);
  if (!(await parts.subscriptions.close(row, now, apiKey))) return;
  tellOfSubscription(parts, 'subscription_closed', row, actor, now);
  // Should that not be reached, the consumer goes by itself after a day without a pull.
  const { stream, consumer } = consumerOf(row);
  await parts.consumers.remove(stream, consumer);
  await parts.settleKeys(row.org);
}

const LAPSED_MS = SUBSCRIBER_LIMITS.inactiveS * 1000;

/** Those that nobody has followed for a day, whose places are forgotten; gives how many. */
export async function closeLapsed(parts: CloseParts, org: string): Promise<number> {
  const untilMs = nowMs(parts.clock) - LAPSED_MS;
  let closed = 0;
  for (const row of await parts.subscriptions.ofOrg(org)) {
    if (row.openedAtMs > untilMs) continue;
    const { stream, consumer } = consumerOf(row);
    if ((await parts.consumers.info(stream, consumer)) !== undefined) continue;
    await close(parts, row, 'registry');
    closed++;
  }
  return closed;
}
