/** The two phases of a run: as fast as the window allows, then at a fixed rate for latency. */

import { median, percentile } from './percentiles.ts';
import { type CpuByRole, cpuPerMessage } from './process-cpu.ts';
import type { Worker } from './worker-process.ts';
import type { Phase } from './workers/protocol.ts';

/** Node.js compiles the hot functions of every process on the way only after some seconds of load. */
const WARMUP_MS = 8000;

export interface PhaseSettings {
  readonly window: number;
  readonly body_bytes: number;
  readonly seconds: number;
  /** Messages a second of the latency phase. */
  readonly paced_rate: number;
}

export interface Figures {
  readonly msgs_per_s: number;
  readonly latency_p50_ms: number;
  readonly latency_p99_ms: number;
  readonly latency_samples: number;
  /** CPU time of each role for one message, microseconds, while messages go as fast as they can. */
  readonly cpu_us_per_msg?: CpuByRole;
}

/** The far end's acknowledgements are the near end's credit: the window spans the whole way. */
export async function runPhases(
  sender: Worker,
  receiver: Worker,
  settings: PhaseSettings,
  readCpu?: () => CpuByRole,
): Promise<Figures> {
  receiver.onCredit((received) => sender.tell({ type: 'credit', received }));
  const base = {
    window: settings.window,
    body_bytes: settings.body_bytes,
    measure_ms: settings.seconds * 1000,
  };
  const flood = await runPhase(sender, receiver, { ...base, rate: 0, warmup_ms: WARMUP_MS }, readCpu);
  const paced = await runPhase(sender, receiver, { ...base, rate: settings.paced_rate, warmup_ms: 1000 });
  return {
    msgs_per_s: round(flood.msgs_per_s),
    latency_p50_ms: round(median(paced.latencies_ms), 3),
    latency_p99_ms: round(percentile(paced.latencies_ms, 0.99), 3),
    latency_samples: paced.latencies_ms.length,
    ...(flood.cpu === undefined ? {} : { cpu_us_per_msg: flood.cpu }),
  };
}

async function runPhase(sender: Worker, receiver: Worker, phase: Phase, readCpu?: () => CpuByRole) {
  const result = receiver.result();
  receiver.tell({ type: 'phase', phase });
  sender.tell({ type: 'phase', phase });
  await Promise.race([result, pause(phase.warmup_ms)]);
  const before = readCpu?.();
  const measured = await result;
  const after = readCpu?.();
  sender.tell({ type: 'stop' });
  // What is still on its way arrives before the next phase counts.
  await pause(1500);
  const cpu = before && after && cpuPerMessage(before, after, measured.received);
  return { ...measured, cpu };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
