/** Tells how many nodes and agents orgs have: an event for each org when that has changed, and once a day. */

import type { Broker } from '@fleetwire/broker';
import { usageEvent } from '@fleetwire/contract';
import { type Clock, nowMs, slices } from '@fleetwire/kernel';
import type { OrgRows, OrgTotals } from '../store/orgs.ts';

export interface UsageReportParts {
  readonly orgs: Pick<OrgRows, 'totals'>;
  readonly publish: Broker['store'];
  readonly clock: Clock;
}

const SERVICE = 'registry';
const AT_ONCE = 16;

export class UsageReport {
  readonly #parts: UsageReportParts;
  /** Org to the id of what was told last. */
  #told = new Map<string, string>();

  constructor(parts: UsageReportParts) {
    this.#parts = parts;
  }

  /** One query, then what differs from the last time. What fails is told the next time. Gives the number of events. */
  async run(over: AbortSignal): Promise<number> {
    const totals = await this.#parts.orgs.totals();
    const atMs = nowMs(this.#parts.clock);
    const day = new Date(atMs).toISOString().slice(0, 10);
    const ids = new Map(totals.map((of) => [of.org, usageId(of, day)]));
    const changed = totals.filter(({ org }) => this.#told.get(org) !== ids.get(org));
    // Of orgs that have nothing any more there is nothing to remember.
    this.#told = new Map([...this.#told].filter(([org]) => ids.has(org)));
    const tell = async ({ org, nodes, agents }: OrgTotals) => {
      const id = ids.get(org)!;
      const usage = { day, agents, nodes, messages: 0, bytes: 0 };
      const { subject, payload } = usageEvent({ id, org, service: SERVICE, atMs, usage });
      await this.#parts.publish(subject, payload, { msgId: id });
      this.#told.set(org, id);
    };
    for (const slice of slices(changed, AT_ONCE)) {
      if (over.aborted) break;
      await Promise.all(slice.map(tell));
    }
    return changed.length;
  }
}

/** Repeats only when nothing has changed. */
const usageId = ({ org, agents, nodes }: OrgTotals, day: string): string =>
  `${SERVICE}-usage-${org}-${day}-${agents}-${nodes}`;
