/** The figures of the ingest loops as observable metrics: nothing is counted twice on the hot path. */

import type { Meter } from '@fleetwire/telemetry';
import type { IngestStats } from './handlers/ingest-loop.ts';

/** What is looked at each time metrics are exported. */
export interface MeasuredLoop {
  readonly name: string;
  readonly stats: Readonly<IngestStats>;
  readonly waiting: boolean;
}

export function measureIngest(meter: Meter, loops: readonly MeasuredLoop[]): void {
  const counters = {
    messages: 'pulled',
    rows: 'rows read',
    written: 'rows written',
    flushes: 'transactions',
  };
  for (const [key, description] of Object.entries(counters))
    meter.createObservableCounter(`fleetwire.delivery.${key}`, { description }).addCallback((result) => {
      for (const loop of loops)
        result.observe(loop.stats[key as keyof typeof counters], { consumer: loop.name });
    });
  meter
    .createObservableGauge('fleetwire.delivery.waiting', {
      description: '1 while rows cannot be written',
    })
    .addCallback((result) => {
      for (const loop of loops) result.observe(loop.waiting ? 1 : 0, { consumer: loop.name });
    });
}
