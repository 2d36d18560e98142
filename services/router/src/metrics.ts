/** Metrics of what routers did, read when they are exported: nothing is counted twice on the hot path. */

import type { Meter } from '@fleetwire/telemetry';
import type { FlowCounts } from './domain/partition-flow.ts';

const OUTCOMES = ['routed', 'local', 'returned', 'expired', 'dead'] as const;

export interface FlowMetrics {
  /** Adds the counts of a session that has ended. */
  ended(counts: FlowCounts): void;
}

/** `live` gives the load of each partition held now. */
export function flowMetrics(
  meter: Meter,
  live: () => readonly ({ readonly entries: number } & FlowCounts)[],
): FlowMetrics {
  const before: FlowCounts = { routed: 0, local: 0, returned: 0, expired: 0, dead: 0 };
  const messages = meter.createObservableCounter('fleetwire.router.messages', {
    description: 'Messages that a router has dealt with, by outcome',
    unit: '{message}',
  });
  messages.addCallback((result) => {
    for (const outcome of OUTCOMES) {
      const now = live().reduce((sum, load) => sum + load[outcome], before[outcome]);
      result.observe(now, { outcome });
    }
  });
  const entries = meter.createObservableGauge('fleetwire.router.entries', {
    description: 'Envelopes in the memory of a router',
    unit: '{message}',
  });
  entries.addCallback((result) => result.observe(live().reduce((sum, load) => sum + load.entries, 0)));
  return {
    ended(counts) {
      for (const outcome of OUTCOMES) before[outcome] += counts[outcome];
    },
  };
}

/** `now` gives the agents in the routing table, and how often it was read again after a hole. */
export function routesMetrics(
  meter: Meter,
  now: () => { readonly agents: number; readonly resyncs: number },
): void {
  const routes = meter.createObservableGauge('fleetwire.router.routes', {
    description: 'Agents in the routing table of a router',
    unit: '{agent}',
  });
  routes.addCallback((result) => result.observe(now().agents));
  const resyncs = meter.createObservableCounter('fleetwire.router.resyncs', {
    description: 'Times that a router has read its routing table again, after a hole or a lost connection',
    unit: '{reading}',
  });
  resyncs.addCallback((result) => result.observe(now().resyncs));
}
