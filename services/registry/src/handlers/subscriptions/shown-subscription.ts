/** A subscription as it is shown, and the events that tell of it. */

import { SUBSCRIBED, type Subscribed, subscriberConsumerName } from '@fleetwire/contract';
import type { Subscription } from '@fleetwire/gen/registry';
import type { SubscriptionRow } from '../../store/entities.ts';
import type { RegistryParts } from '../parts.ts';

/** Stream and name of its consumer. */
export function consumerOf({ org, what, name }: Pick<SubscriptionRow, 'org' | 'what' | 'name'>) {
  return { stream: SUBSCRIBED[what as Subscribed], consumer: subscriberConsumerName(org, name) };
}

/** With what the servers say of its consumer now. */
export async function shownSubscription(
  parts: Pick<RegistryParts, 'consumers'>,
  row: SubscriptionRow,
): Promise<Subscription> {
  const { stream, consumer } = consumerOf(row);
  const state = await parts.consumers.info(stream, consumer);
  const { name, what, filter, owner, createdAtMs, openedAtMs } = row;
  return {
    name,
    what,
    stream,
    consumer,
    filter,
    owner,
    createdAtMs,
    openedAtMs,
    pending: state?.numPending ?? 0,
    ackPending: state?.numAckPending ?? 0,
    lapsed: state === undefined,
  };
}

/** `mark` tells this one from others of the same subscription. */
export function tellOfSubscription(
  parts: Pick<RegistryParts, 'announcer'>,
  event: 'subscription_opened' | 'subscription_closed',
  { org, what, name, filter, owner }: Pick<SubscriptionRow, 'org' | 'what' | 'name' | 'filter' | 'owner'>,
  actor: string,
  mark: number,
): void {
  const target = subscriberConsumerName(org, name);
  const id = `registry-${event}-${what}-${target}-${mark}`;
  parts.announcer.tell({ org, name: event, target, actor, details: { name, what, filter, owner }, id });
}
