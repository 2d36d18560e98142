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
