/** Routed messages: from a client's send at one node to the receiving agents' acknowledgement at another. */

import { startFabric } from './fabric.ts';
import { median, round } from './percentiles.ts';
import type { Timing } from './phases.ts';
import type { ByRole } from './process-usage.ts';
import { type FanOut, fanOut, type Pending } from './routed/fan-out.ts';
import { type Isolation, isolation } from './routed/isolation.ts';
import { measurePoint, type Point, type PointSettings } from './routed/point.ts';
import { type Soak, soak } from './routed/soak.ts';
import type { StoodStill } from './routed/stopped-recipient.ts';
import { type SweepPoint, shapeOf, summaryOf, sweep } from './routed/sweep.ts';

export interface RoutedOptions {
  readonly point: PointSettings;
  readonly timing: Timing;
  readonly runs: number;
  readonly sweep: boolean;
  readonly fanOut: boolean;
  readonly isolation: boolean;
  /** Messages of the soak; 0: none. */
  readonly soak: number;
}

/** Medians over the runs of the default point; fan-out and isolation run by run; sweep and soak were measured once. */
export interface RoutedDocument {
  readonly bench: 'routed';
  readonly raw_two_stage_msgs_per_s: number;
  readonly raw_packed_msgs_per_s: number;
  readonly packed_msgs_per_s: number;
  readonly packed_ratio: number;
  readonly one_at_a_time_msgs_per_s: number;
  readonly one_at_a_time_ratio: number;
  readonly latency_p50_ms: number;
  readonly latency_p99_ms: number;
  readonly raw_latency_p50_ms: number;
  readonly raw_latency_p99_ms: number;
  readonly added_latency_p50_ms: number;
  readonly added_latency_p99_ms: number;
  /** Of the routed messages, by role; empty where there is no /proc. */
  readonly packed_cpu_us_per_msg: ByRole;
  readonly one_at_a_time_cpu_us_per_msg: ByRole;
  readonly memory_mb: ByRole;
  /** True or false where it was measured, else why it was not. */
  readonly aims: Readonly<Record<string, boolean | string>>;
  readonly fan_out?: readonly (FanOut | Pending)[];
  readonly isolation?: readonly Isolation[];
  readonly soak?: Soak;
  readonly sweep?: readonly SweepPoint[];
  readonly settings: RoutedOptions & { readonly history: true; readonly receipts: true };
  readonly runs: readonly Point[];
}

export async function benchRouted(
  options: RoutedOptions,
  report: (line: string) => void,
): Promise<RoutedDocument> {
  const runs: Point[] = [];
  const fabric = await startFabric(shapeOf(options.point));
  try {
    for (let i = 1; i <= options.runs; i++) {
      runs.push(await measurePoint(fabric, options.point, options.timing, true));
      report(`run ${i}: ${summaryOf(runs.at(-1)!)}`);
    }
  } finally {
    await fabric.stop();
  }
  const { seconds } = options.timing;
  const measured = {
    ...(options.fanOut ? { fan_out: await inTurn(options.runs, () => fanOut(report)) } : {}),
    ...(options.isolation ? { isolation: await inTurn(options.runs, () => isolation(seconds, report)) } : {}),
    ...(options.sweep ? { sweep: await sweep(options.point, report) } : {}),
    ...(options.soak > 0 ? { soak: await soak(options.point, options.soak, report) } : {}),
  };
  const medians = mediansOf(runs);
  const settings = { ...options, history: true, receipts: true } as const;
  return {
    bench: 'routed',
    ...medians,
    aims: aimsOf({ ...medians, ...measured }),
    ...measured,
    settings,
    runs,
  };
}

async function inTurn<T>(times: number, measure: () => Promise<T>): Promise<T[]> {
  const measured: T[] = [];
  for (let i = 0; i < times; i++) measured.push(await measure());
  return measured;
}

function mediansOf(runs: readonly Point[]) {
  const of = (pick: (run: Point) => number | undefined, digits = 3) =>
    round(median(runs.map((run) => pick(run) ?? Number.NaN)), digits);
  const roles = (pick: (run: Point) => ByRole | undefined) =>
    medianByRole(runs.map((run) => pick(run) ?? {}));
  const added = (of: 'latency_p50_ms' | 'latency_p99_ms') => (run: Point) =>
    (run.packed[of] ?? Number.NaN) - (run.raw[of] ?? Number.NaN);
  return {
    raw_two_stage_msgs_per_s: of((r) => r.raw.msgs_per_s, 0),
    raw_packed_msgs_per_s: of((r) => r.raw_packed?.msgs_per_s, 0),
    packed_msgs_per_s: of((r) => r.packed.msgs_per_s, 0),
    packed_ratio: of((r) => r.packed.ratio),
    one_at_a_time_msgs_per_s: of((r) => r.one_at_a_time.msgs_per_s, 0),
    one_at_a_time_ratio: of((r) => r.one_at_a_time.ratio),
    latency_p50_ms: of((r) => r.packed.latency_p50_ms),
    latency_p99_ms: of((r) => r.packed.latency_p99_ms),
    raw_latency_p50_ms: of((r) => r.raw.latency_p50_ms),
    raw_latency_p99_ms: of((r) => r.raw.latency_p99_ms),
    added_latency_p50_ms: of(added('latency_p50_ms')),
    added_latency_p99_ms: of(added('latency_p99_ms')),
    packed_cpu_us_per_msg: roles((r) => r.packed.cpu_us_per_msg),
    one_at_a_time_cpu_us_per_msg: roles((r) => r.one_at_a_time.cpu_us_per_msg),
    memory_mb: roles((r) => r.packed.memory_mb),
  };
}

function medianByRole(runs: readonly ByRole[]): ByRole {
  const roles = [...new Set(runs.flatMap((run) => Object.keys(run)))];
  return Object.fromEntries(roles.map((role) => [role, round(median(runs.map((run) => run[role] ?? 0)), 1)]));
}

type Aimed = ReturnType<typeof mediansOf> & Pick<RoutedDocument, 'fan_out' | 'isolation' | 'soak'>;

const MB_PER_MILLION_MAX = 1;
/** Programs of others, whose caches and collectors have bounds of their own: measured, and no part of the aim. */
const SERVERS: readonly string[] = ['postgres', 'nats-server'];

function fanOutAim(runs: readonly (FanOut | Pending)[]): boolean | string {
  const [pending] = runs.flatMap((run) => ('pending' in run ? [run.pending] : []));
  const times = runs.flatMap((run) => ('pending' in run ? [] : [run.to_inboxes.times]));
  return pending ?? median(times) >= 20;
}

/** The second line says that nothing was lost on the way to the first. */
function isolationAims(runs: readonly Isolation[] | undefined): RoutedDocument['aims'] {
  const of = (met: (runs: readonly Isolation[]) => boolean) =>
    runs === undefined ? 'not measured' : met(runs);
  const times = (place: 'neighbours' | 'others') => median(runs?.map((run) => run.times[place]) ?? []);
  return {
    'one recipient stopped: 99th percentile of others and of its neighbours at most 2 x': of(
      () => times('neighbours') <= 2 && times('others') <= 2,
    ),
    'one recipient stopped: its queue fills, BUSY reaches its senders, READY resumes, all mail ends': of(
      (all) => all.every(wentAsItShould),
    ),
  };
}

function wentAsItShould(stood: StoodStill): boolean {
  return stood.filled && stood.busy_reached_senders && stood.ready_resumed && stood.unended === 0;
}

function soakAim({ mb_per_million, stopped }: Soak): boolean {
  const grown = Object.entries(mb_per_million).filter(([role]) => !SERVERS.includes(role));
  return grown.every(([, mb]) => mb <= MB_PER_MILLION_MAX) && wentAsItShould(stopped);
}

export function aimsOf(d: Aimed): RoutedDocument['aims'] {
  const { fan_out, isolation: isolated, soak: soaked } = d;
  return {
    'one at a time per sender: at least 0.7 of the raw relay, history on': d.one_at_a_time_ratio >= 0.7,
    'packed: more than the raw relay': d.packed_ratio > 1,
    'added latency at most 1 ms at the median': d.added_latency_p50_ms <= 1,
    'added latency at most 3 ms at the 99th percentile': d.added_latency_p99_ms <= 3,
    'a channel of 1,000 on 10 nodes at least 20 x cheaper than 1,000 messages, into the inboxes':
      fan_out === undefined ? 'not measured' : fanOutAim(fan_out),
    ...isolationAims(isolated),
    'memory flat: at most 1 MB more for every million messages in each process, one recipient stopped':
      soaked === undefined ? 'not measured' : soakAim(soaked),
  };
}
