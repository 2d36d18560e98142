/** Tells how many nodes and agents orgs have: an event for each org when that has changed, and once a day. */

import type { Broker } from '@fleetwire/broker';
import { EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { Event } from '@fleetwire/gen/event';
import { type Clock, nowMs } from '@fleetwire/kernel';
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
    for (let i = 0; i < changed.length && !over.aborted; i += AT_ONCE) {
      const tell = async (of: OrgTotals) => {
        await this.#tell(of, ids.get(of.org)!, day, atMs);
        this.#told.set(of.org, ids.get(of.org)!);
      };
      await Promise.all(changed.slice(i, i + AT_ONCE).map(tell));
    }
    return changed.length;
  }

  async #tell({ org, nodes, agents }: OrgTotals, id: string, day: string, atMs: number): Promise<void> {
    const event = {
      id,
      org,
      service: SERVICE,
      name: EVENT_NAMES.usage,
      atMs,
      actor: SERVICE,
      target: org,
      details: {},
      usage: { day, agents, nodes, messages: 0, bytes: 0 },
    };
    const subject = eventSubject.build({ org, service: SERVICE, name: EVENT_NAMES.usage });
    await this.#parts.publish(subject, encode(Event, event), { msgId: id });
  }
}

/** Repeats only when nothing has changed. */
const usageId = ({ org, agents, nodes }: OrgTotals, day: string): string =>
  `${SERVICE}-usage-${org}-${day}-${agents}-${nodes}`;
