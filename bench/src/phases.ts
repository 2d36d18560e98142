/** The phases of a measurement: as fast as the windows allow, then perhaps at a fixed rate for latency. */

import { pause } from '@fleetwire/kernel';
import { median, percentile, round } from './percentiles.ts';
import { type ByRole, cpuPerMessage } from './process-usage.ts';
import type { Worker } from './worker-process.ts';
import type { Phase } from './workers/protocol.ts';

export interface Load {
  readonly senders: number;
  /** Of each sender: messages between its sending and the far end's acknowledgement, at most. */
  readonly window: number;
  readonly body_bytes: number;
}

export interface Timing {
  /** Node.js compiles the hot functions of every process on the way only after some seconds of load. */
  readonly warmup_s: number;
  readonly seconds: number;
  /** Messages a second of the latency phase; 0: there is none. */
  readonly paced_rate: number;
}

export interface Figures {
  readonly msgs_per_s: number;
  /** CPU time of each role for one message, microseconds, while messages go as fast as they can. */
  readonly cpu_us_per_msg?: ByRole;
  /** Memory of each role at the end of that, MB. */
  readonly memory_mb?: ByRole;
  /** Sends that the sender's node refused for now, its warm-up included; not there: none. */
  readonly refused?: number;
  readonly latency_p50_ms?: number;
  readonly latency_p99_ms?: number;
  readonly latency_samples?: number;
}

/** Reads the fabric's processes; none for the raw relay. */
export interface Usage {
  cpu(): ByRole;
  memory(): ByRole;
}

const PACED_WARMUP_MS = 1000;
/** What is still on its way arrives before the next phase counts. */
const SETTLE_MS = 1500;

/** The far end's acknowledgements are the near end's credit: the windows span the whole way. */
export async function runPhases(
  sender: Worker,
  receiver: Worker,
  load: Load,
  timing: Timing,
  usage?: Usage,
): Promise<Figures> {
  receiver.onCredit((credit) => sender.tell({ type: 'credit', credit }));
  const measure_ms = timing.seconds * 1000;
  const flood: Phase = { ...load, rate: 0, warmup_ms: timing.warmup_s * 1000, measure_ms };
  const { memory, cpu, msgs_per_s } = await runPhase(sender, receiver, flood, usage);
  const figures = {
    msgs_per_s: round(msgs_per_s),
    ...(cpu === undefined ? {} : { cpu_us_per_msg: cpu }),
    ...(memory === undefined ? {} : { memory_mb: memory }),
    ...(sender.refused() === 0 ? {} : { refused: sender.refused() }),
  };
  if (timing.paced_rate === 0) return figures;
  const rate = timing.paced_rate;
  const paced: Phase = { ...load, rate, warmup_ms: PACED_WARMUP_MS, measure_ms };
  const { latencies_ms } = await runPhase(sender, receiver, paced);
  return {
    ...figures,
    latency_p50_ms: round(median(latencies_ms), 3),
    latency_p99_ms: round(percentile(latencies_ms, 0.99), 3),
    latency_samples: latencies_ms.length,
  };
}

async function runPhase(sender: Worker, receiver: Worker, phase: Phase, usage?: Usage) {
  const result = receiver.result();
  receiver.tell({ type: 'phase', phase });
  sender.tell({ type: 'phase', phase });
  await Promise.race([result, pause(phase.warmup_ms)]);
  const before = usage?.cpu();
  const measured = await result;
  const after = usage?.cpu();
  const memory = usage?.memory();
  sender.tell({ type: 'stop' });
  await pause(SETTLE_MS);
  const cpu = before && after && cpuPerMessage(before, after, measured.received);
  return { ...measured, cpu, memory };
}
