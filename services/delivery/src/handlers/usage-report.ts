/** Tells what orgs have used: totals by day as events, whenever they have grown. */

import type { Broker } from '@fleetwire/broker';
import { usageEvent } from '@fleetwire/contract';
import { type Clock, nowMs, slices } from '@fleetwire/kernel';
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
    for (const slice of slices(days, AT_ONCE)) await Promise.all(slice.map((day) => tell(parts, day)));
    if (days.length > 0) await usageTold(parts.store, days);
    told += days.length;
    if (days.length < PAGE) break;
  }
  return told;
}

async function tell({ publish, clock }: UsageReportParts, of: UsageDay): Promise<void> {
  const { org, day, messages, bytes } = of;
  const id = `${SERVICE}-usage-${org}-${day}-${messages}`;
  const usage = { day, messages, bytes, agents: 0, nodes: 0 };
  const { subject, payload } = usageEvent({ id, org, service: SERVICE, atMs: nowMs(clock), usage });
  await publish(subject, payload, { msgId: id });
}
