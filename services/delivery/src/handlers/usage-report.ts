/** Tells what orgs have used: totals by day as events, whenever they have grown. */

import type { Broker } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { type Clock, nowMs } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import { type UsageDay, untoldUsage, usageTold } from '../store/usage-table.ts';

export interface UsageReportParts {
  readonly store: Store;
  readonly publish: Broker['store'];
  readonly clock: Clock;
}

const SERVICE = 'delivery';
/** Days in one round of reading, publishing and noting. */
const PAGE = 500;
const AT_ONCE = 16;

/**
 * Publishes every total that is greater than the last one published. One that was published and could not be noted is
 * published again with the same id; since totals only grow, that and any disorder do no harm. Gives their number.
 */
export async function reportUsage(parts: UsageReportParts, mayGoOn: () => boolean): Promise<number> {
  let told = 0;
  while (mayGoOn()) {
    const days = await untoldUsage(parts.store, PAGE);
    for (let i = 0; i < days.length; i += AT_ONCE)
      await Promise.all(days.slice(i, i + AT_ONCE).map((day) => tell(parts, day)));
    if (days.length > 0) await usageTold(parts.store, days);
    told += days.length;
    if (days.length < PAGE) break;
  }
  return told;
}

async function tell({ publish, clock }: UsageReportParts, of: UsageDay): Promise<void> {
  const { org, day, messages, bytes } = of;
  const id = `${SERVICE}-usage-${org}-${day}-${messages}`;
  const event = {
    id,
    org,
    service: SERVICE,
    name: EVENT_NAMES.usage,
    atMs: nowMs(clock),
    actor: SERVICE,
    target: org,
    details: {},
    usage: { day, messages, bytes, agents: 0, nodes: 0 },
  };
  const subject = eventSubject.build({ org, service: SERVICE, name: EVENT_NAMES.usage });
  await publish(subject, encode(Event, event), { msgId: id });
}
