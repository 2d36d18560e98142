/** The figures of the ingest loops as observable metrics: nothing is counted twice on the hot path. */

import type { Meter } from '@fleetwire/telemetry';
import type { ProgressFigures } from './domain/progress.ts';
import type { IngestStats } from './handlers/ingest-loop.ts';

/** What is looked at each time metrics are exported. */
export interface MeasuredLoop {
  readonly name: string;
  readonly stats: Readonly<IngestStats>;
  readonly waiting: boolean;
}

/** What waits in the streams, as of the last look. */
export function measureBacklog(
  meter: Meter,
  figures: () => Readonly<Record<string, ProgressFigures>>,
  search: Readonly<{ indexed: number; refused: number }>,
): void {
  const gauges = {
    rows: ['fleetwire.delivery.backlog', '{row}', 'messages, receipts or dead letters that wait, about'],
    rows_per_s: ['fleetwire.delivery.backlog.rate', '{row}/s', 'of these worked off in a second, about'],
    seconds_left: ['fleetwire.delivery.backlog.time', 's', 'until none waits, at that pace'],
  } as const;
  for (const [key, [name, unit, description]] of Object.entries(gauges))
    meter.createObservableGauge(name, { unit, description }).addCallback((result) => {
      for (const [consumer, found] of Object.entries(figures())) {
        const value = found[key as keyof typeof gauges];
        if (value !== null) result.observe(value, { consumer });
      }
    });
  meter
    .createObservableCounter('fleetwire.delivery.search.indexed', { description: 'messages made searchable' })
    .addCallback((result) => result.observe(search.indexed));
  meter
    .createObservableCounter('fleetwire.delivery.search.refused', {
      description: 'messages found by no word, since they cannot be read',
    })
    .addCallback((result) => result.observe(search.refused));
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
