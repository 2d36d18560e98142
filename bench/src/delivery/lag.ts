/** How far history and receipts are behind while messages go through the fabric as fast as they can. */

import { connectBroker } from '@fleetwire/broker';
import { type ConsumerSpec, DELIVERY_HISTORY, DELIVERY_RECEIPTS } from '@fleetwire/contract';
import { Deque, pause } from '@fleetwire/kernel';
import type { BenchFabric } from '../fabric.ts';
import { median, percentile, round } from '../percentiles.ts';
import type { Timing } from '../phases.ts';
import { runRouted } from '../routed/clients.ts';
import { type PointSettings, windowOf } from '../routed/point.ts';

/** From the moment that something was in its stream until it was committed and acknowledged, milliseconds. */
export interface Lag {
  readonly p50_ms: number;
  readonly p99_ms: number;
  /** Medians of the first and of the last third of the time that counts: it must not grow. */
  readonly first_third_ms: number;
  readonly last_third_ms: number;
}

export interface LagFigures {
  readonly msgs_per_s: number;
  readonly history: Lag;
  readonly receipts: Lag;
}

/** Between two looks: what is measured is no finer. */
const LOOK_MS = 20;
const CATCH_UP_MS = 300_000;

export async function measureLag(
  fabric: BenchFabric,
  settings: PointSettings,
  timing: Timing,
): Promise<LagFigures> {
  const broker = await connectBroker({ urls: [fabric.natsUrl], name: 'bench', credsFile: fabric.creds });
  const over = new AbortController();
  const look = async (spec: ConsumerSpec) => {
    const stream = await broker.streams.state(spec.stream);
    const consumer = await broker.consumers.info(spec.stream, spec.durable_name);
    if (stream === undefined || consumer === undefined) throw new Error(`${spec.durable_name} is not there`);
    return {
      last: stream.lastSequence,
      done: consumer.numPending + consumer.numAckPending === 0,
      ...consumer,
    };
  };
  try {
    const watches = [DELIVERY_HISTORY, DELIVERY_RECEIPTS].map((spec) => watch(() => look(spec), over.signal));
    const started = performance.now();
    const load = { ...settings, window: windowOf(settings) };
    const { msgs_per_s } = await runRouted(fabric, load, { ...timing, paced_rate: 0 });
    // Clients take a moment to start, so the end of the measured time is well before that of the flood.
    const from = started + timing.warmup_s * 1000;
    const counted = { from, to: from + timing.seconds * 1000 };
    over.abort();
    const [history, receipts] = await Promise.all(watches);
    return { msgs_per_s, history: lagOf(history!, counted), receipts: lagOf(receipts!, counted) };
  } finally {
    over.abort();
    await broker.close();
  }
}

interface Looked {
  /** Of the stream. */
  readonly last: number;
  readonly ackFloor: number;
  readonly done: boolean;
}

interface Sample {
  readonly atMs: number;
  readonly lagMs: number;
}

/** Remembers where the stream ended at each look, and how long it took until all up to there was acknowledged. */
async function watch(look: () => Promise<Looked>, over: AbortSignal): Promise<readonly Sample[]> {
  const open = new Deque<{ atMs: number; last: number }>();
  const samples: Sample[] = [];
  let endedMs: number | undefined;
  for (;;) {
    const askedMs = performance.now();
    const { last, ackFloor, done } = await look();
    const nowMs = performance.now();
    if (over.aborted) endedMs ??= nowMs;
    else open.push({ atMs: askedMs, last });
    for (let first = open.at(0); first !== undefined; first = open.at(0)) {
      if (first.last > ackFloor && !done) break;
      samples.push({ atMs: first.atMs, lagMs: nowMs - first.atMs });
      open.shift();
    }
    if (endedMs !== undefined && done) return samples;
    if (endedMs !== undefined && nowMs - endedMs > CATCH_UP_MS) throw new Error('history does not catch up');
    await pause(LOOK_MS);
  }
}

function lagOf(samples: readonly Sample[], { from, to }: { from: number; to: number }): Lag {
  const counted = samples.filter(({ atMs }) => atMs >= from && atMs < to);
  const part = (first: number, last: number) =>
    median(counted.filter((_, i) => i >= counted.length * first && i < counted.length * last).map(lag));
  return {
    p50_ms: round(median(counted.map(lag))),
    p99_ms: round(percentile(counted.map(lag), 0.99)),
    first_third_ms: round(part(0, 1 / 3)),
    last_third_ms: round(part(2 / 3, 1)),
  };
}

const lag = ({ lagMs }: Sample): number => lagMs;
