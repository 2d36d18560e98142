/** Delivery: receipts into PostgreSQL, how far history is behind under load, subscribers, terminals, and questions to history. */

import { type LagFigures, measureLag } from './delivery/lag.ts';
import { type ReceiptFigures, startReceiptStand } from './delivery/receipts.ts';
import { startFabric } from './fabric.ts';
import { median, round } from './percentiles.ts';
import type { Timing } from './phases.ts';
import type { PointSettings } from './routed/point.ts';
import { shapeOf } from './routed/sweep.ts';

export interface DeliveryOptions {
  readonly point: PointSettings;
  readonly timing: Timing;
  readonly runs: number;
  /** Receipts of one run, and rows of the COPY beside it. */
  readonly receipts: number;
}

export interface DeliveryRun {
  readonly receipts: ReceiptFigures;
  readonly lag: LagFigures;
}

/** Medians over the runs. */
export interface DeliveryDocument {
  readonly bench: 'delivery';
  readonly receipts_per_s: number;
  readonly raw_copy_rows_per_s: number;
  readonly receipts_ratio: number;
  /** Of the routed benchmark at full rate, while the lag was measured. */
  readonly routed_msgs_per_s: number;
  readonly history_lag_p50_ms: number;
  readonly history_lag_p99_ms: number;
  readonly receipts_lag_p50_ms: number;
  readonly receipts_lag_p99_ms: number;
  readonly aims: Readonly<Record<string, boolean | string>>;
  readonly settings: DeliveryOptions;
  readonly runs: readonly DeliveryRun[];
}

export async function benchDelivery(
  options: DeliveryOptions,
  report: (line: string) => void,
): Promise<DeliveryDocument> {
  const receipts = await receiptRuns(options, report);
  const runs: DeliveryRun[] = [];
  const fabric = await startFabric(shapeOf(options.point));
  try {
    for (const [i, measured] of receipts.entries()) {
      const lag = await measureLag(fabric, options.point, options.timing);
      runs.push({ receipts: measured, lag });
      report(`run ${i + 1}: ${lag.msgs_per_s} msg/s, history behind by ${lag.history.p50_ms} ms`);
    }
  } finally {
    await fabric.stop();
  }
  return { bench: 'delivery', ...mediansOf(runs), aims: aimsOf(runs), settings: options, runs };
}

async function receiptRuns(
  { runs, receipts }: DeliveryOptions,
  report: (line: string) => void,
): Promise<ReceiptFigures[]> {
  const stand = await startReceiptStand();
  try {
    await stand.measure(Math.ceil(receipts / 5)); // Node.js compiles the hot functions meanwhile
    const measured: ReceiptFigures[] = [];
    for (let i = 1; i <= runs; i++) {
      measured.push(await stand.measure(receipts));
      const { receipts_per_s, raw_copy_rows_per_s, ratio } = measured.at(-1)!;
      report(`run ${i}: ${receipts_per_s} receipts/s, COPY ${raw_copy_rows_per_s} rows/s, ratio ${ratio}`);
    }
    return measured;
  } finally {
    await stand.stop();
  }
}

function mediansOf(runs: readonly DeliveryRun[]) {
  const of = (pick: (run: DeliveryRun) => number, digits = 0) => round(median(runs.map(pick)), digits);
  return {
    receipts_per_s: of((r) => r.receipts.receipts_per_s),
    raw_copy_rows_per_s: of((r) => r.receipts.raw_copy_rows_per_s),
    receipts_ratio: of((r) => r.receipts.ratio, 3),
    routed_msgs_per_s: of((r) => r.lag.msgs_per_s),
    history_lag_p50_ms: of((r) => r.lag.history.p50_ms),
    history_lag_p99_ms: of((r) => r.lag.history.p99_ms),
    receipts_lag_p50_ms: of((r) => r.lag.receipts.p50_ms),
    receipts_lag_p99_ms: of((r) => r.lag.receipts.p99_ms),
  };
}

/** Behind by so much, and not by more and more, is keeping up. */
const LAG_MS_MAX = 1000;
const GROWTH_MS_MAX = 250;

function keepsUp(runs: readonly DeliveryRun[], of: 'history' | 'receipts'): boolean {
  const lags = runs.map(({ lag }) => lag[of]);
  const grown = median(lags.map((l) => l.last_third_ms - l.first_third_ms));
  return median(lags.map((l) => l.p99_ms)) <= LAG_MS_MAX && grown <= GROWTH_MS_MAX;
}

export function aimsOf(runs: readonly DeliveryRun[]): DeliveryDocument['aims'] {
  return {
    'history keeps up with the routed benchmark at full rate: at most 1 s behind at the 99th percentile, and not growing':
      keepsUp(runs, 'history'),
    'so do receipts': keepsUp(runs, 'receipts'),
  };
}
