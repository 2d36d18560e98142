/** Routed messages: from a client's send at one node to the receiving agents' acknowledgement at another. */

import { type BenchFabric, startFabric } from './fabric.ts';
import { median } from './percentiles.ts';
import { type Figures, type PhaseSettings, round, runPhases } from './phases.ts';
import { type CpuByRole, readCpu } from './process-cpu.ts';
import { runRaw } from './raw.ts';
import { startWorker, type Worker } from './worker-process.ts';
import type { RoutedSettings } from './workers/routed-settings.ts';

export interface RoutedOptions extends PhaseSettings {
  readonly runs: number;
  readonly receivers: number;
}

export interface RoutedRun {
  readonly routed: Figures;
  readonly raw: Figures;
  readonly ratio: number;
}

export interface RoutedDocument {
  readonly bench: 'routed';
  readonly routed_msgs_per_s: number;
  readonly raw_two_stage_msgs_per_s: number;
  readonly ratio: number;
  readonly latency_p50_ms: number;
  readonly latency_p99_ms: number;
  readonly raw_latency_p50_ms: number;
  readonly raw_latency_p99_ms: number;
  /** Of the routed messages, by role; empty where there is no /proc. */
  readonly cpu_us_per_msg: CpuByRole;
  readonly settings: RoutedOptions & { readonly history: true; readonly receipts: true };
  readonly runs: readonly RoutedRun[];
}

/** Each run measures the raw limit and the fabric side by side; the document holds the medians and every run. */
export async function benchRouted(
  options: RoutedOptions,
  report: (line: string) => void,
): Promise<RoutedDocument> {
  const fabric = await startFabric();
  const runs: RoutedRun[] = [];
  try {
    for (let i = 1; i <= options.runs; i++) {
      const raw = await runRaw({ url: fabric.natsUrl, creds: fabric.creds }, options);
      const routed = await runRouted(fabric, options);
      const ratio = round(routed.msgs_per_s / raw.msgs_per_s, 3);
      runs.push({ routed, raw, ratio });
      report(`run ${i}: routed ${routed.msgs_per_s}/s, raw ${raw.msgs_per_s}/s, ratio ${ratio}`);
    }
  } finally {
    await fabric.stop();
  }
  const of = (pick: (run: RoutedRun) => number, digits = 3) => round(median(runs.map(pick)), digits);
  return {
    bench: 'routed',
    routed_msgs_per_s: of((r) => r.routed.msgs_per_s, 0),
    raw_two_stage_msgs_per_s: of((r) => r.raw.msgs_per_s, 0),
    ratio: of((r) => r.ratio),
    latency_p50_ms: of((r) => r.routed.latency_p50_ms),
    latency_p99_ms: of((r) => r.routed.latency_p99_ms),
    raw_latency_p50_ms: of((r) => r.raw.latency_p50_ms),
    raw_latency_p99_ms: of((r) => r.raw.latency_p99_ms),
    cpu_us_per_msg: medianCpu(runs.map((run) => run.routed.cpu_us_per_msg ?? {})),
    settings: { ...options, history: true, receipts: true },
    runs,
  };
}

function medianCpu(runs: readonly CpuByRole[]): CpuByRole {
  const roles = [...new Set(runs.flatMap((run) => Object.keys(run)))];
  return Object.fromEntries(roles.map((role) => [role, round(median(runs.map((run) => run[role] ?? 0)), 1)]));
}

export async function runRouted(fabric: BenchFabric, options: RoutedOptions): Promise<Figures> {
  const [near, far] = fabric.nodes;
  const receivers = Array.from({ length: options.receivers }, (_, i) => `receiver-${i}`);
  const client = (node: { address: string; token: string }): RoutedSettings => ({
    address: node.address,
    token: node.token,
    sender: 'sender',
    receivers,
  });
  const workers: Worker[] = [];
  try {
    workers.push(await startWorker('routed-receiver', client(far)));
    workers.push(await startWorker('routed-sender', client(near)));
    const [receiver, sender] = workers as [Worker, Worker];
    const clients = new Map([
      [receiver.pid, 'receiver'],
      [sender.pid, 'sender'],
    ]);
    return await runPhases(sender, receiver, options, () => readCpu(fabric.home, clients));
  } finally {
    for (const worker of workers.reverse()) await worker.stop();
  }
}
