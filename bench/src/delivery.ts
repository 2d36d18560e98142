/** Delivery: receipts into PostgreSQL, how far history is behind under load, subscribers, terminals, and questions to history. */

import { type ConfirmFigures, measureConfirm } from './delivery/confirm.ts';
import { type LagFigures, measureLag } from './delivery/lag.ts';
import { measureQuestions, type QuestionFigures } from './delivery/questions.ts';
import { type ReceiptFigures, startReceiptStand } from './delivery/receipts.ts';
import { measureSubscribe, type SubscribeFigures } from './delivery/subscribe.ts';
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
  /** Messages to a program in a terminal, of one run. */
  readonly confirms: number;
  /** Stored messages that questions are asked over; 0: none are asked. */
  readonly questions: number;
}

export interface DeliveryRun {
  readonly receipts: ReceiptFigures;
  readonly lag: LagFigures;
  readonly subscribe: SubscribeFigures;
  readonly confirm: ConfirmFigures;
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
  /** From a send to a subscriber on another node, and a question to its answer; beside the bare nats-server. */
  readonly subscribe_p50_ms: number;
  readonly ask_p50_ms: number;
  readonly raw_publish_p50_ms: number;
  readonly raw_request_p50_ms: number;
  /** From the drawing of a text by a program in a terminal to its receipt; a bare look at the pane. */
  readonly confirm_p50_ms: number;
  readonly pane_look_p50_ms: number;
  readonly questions?: QuestionFigures;
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
      report(`run ${i + 1}: ${lag.msgs_per_s} msg/s, history behind by ${lag.history.p50_ms} ms`);
      const subscribe = await measureSubscribe(fabric);
      const confirm = await measureConfirm(options.confirms);
      runs.push({ receipts: measured, lag, subscribe, confirm });
      const [p50, shown] = [subscribe.other_node.p50_ms, confirm.confirm.median_ms];
      report(`run ${i + 1}: at a subscriber within ${p50} ms, confirmed ${shown} ms after it shows`);
    }
  } finally {
    await fabric.stop();
  }
  const asked = options.questions > 0 ? await measureQuestions(options.questions, options.runs) : undefined;
  return {
    bench: 'delivery',
    ...mediansOf(runs),
    ...(asked === undefined ? {} : { questions: asked }),
    aims: aimsOf(runs, asked),
    settings: options,
    runs,
  };
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
    subscribe_p50_ms: of((r) => r.subscribe.other_node.p50_ms, 3),
    ask_p50_ms: of((r) => r.subscribe.ask_other_node.p50_ms, 3),
    raw_publish_p50_ms: of((r) => r.subscribe.raw_publish.p50_ms, 3),
    raw_request_p50_ms: of((r) => r.subscribe.raw_request.p50_ms, 3),
    confirm_p50_ms: of((r) => r.confirm.confirm.median_ms, 2),
    pane_look_p50_ms: of((r) => r.confirm.look.median_ms, 2),
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

const CONFIRM_MS_MAX = 50;
const LOOK_UPS_MAX = 10;
/** What the aim names; other questions are measured beside it. */
const AIMED = /^(?:thread|text with)/;

function inTime(asked: QuestionFigures): boolean {
  const figures = Object.entries(asked.by_call).filter(([name]) => AIMED.test(name));
  return figures.every(([, figure]) => typeof figure === 'number' || figure.look_ups <= LOOK_UPS_MAX);
}

export function aimsOf(
  runs: readonly DeliveryRun[],
  asked: QuestionFigures | undefined,
): DeliveryDocument['aims'] {
  const confirm = median(runs.map((run) => run.confirm.confirm.median_ms));
  return {
    'history keeps up with the routed benchmark at full rate: at most 1 s behind at the 99th percentile, not growing':
      keepsUp(runs, 'history'),
    'so do receipts': keepsUp(runs, 'receipts'),
    'confirmed within 50 ms of the text being on the screen, at the median': confirm <= CONFIRM_MS_MAX,
    'newest 50 of a thread, and of texts with 10, 1,000 and 100,000 hits, within 10 look-ups by primary key':
      asked === undefined ? 'not measured' : inTime(asked),
  };
}
