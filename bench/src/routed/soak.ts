/** The soak: messages as fast as they go, and by how much each process grows for every million of them. */

import { pause } from '@fleetwire/kernel';
import { startFabric } from '../fabric.ts';
import { round } from '../percentiles.ts';
import type { ByRole } from '../process-usage.ts';
import { startClients } from './clients.ts';
import { type PointSettings, windowOf } from './point.ts';
import { shapeOf } from './sweep.ts';

export interface Soak {
  readonly messages: number;
  readonly samples: readonly { readonly messages: number; readonly memory_mb: ByRole }[];
  /** By a straight line through the samples after the first third. */
  readonly mb_per_million: ByRole;
}

const SAMPLES = 24;
const WARM_UP = 1 / 3;
const LOOK_MS = 20;
/** Longer than any soak; a timer of Node.js takes no more. */
const NO_END_MS = 2 ** 31 - 1;
/** Without a message for so long, something stands still. */
const STILL_MS = 60_000;

export async function soak(
  settings: PointSettings,
  messages: number,
  report: (line: string) => void,
): Promise<Soak> {
  const fabric = await startFabric(shapeOf(settings));
  const { body_bytes, senders, receivers } = settings;
  const samples: { messages: number; memory_mb: ByRole }[] = [];
  try {
    const clients = await startClients(fabric, senders, receivers);
    const { sender, receiver, usage } = clients;
    let count = 0;
    let heardMs = performance.now();
    receiver.onCredit((credit) => {
      for (let i = 1; i < credit.length; i += 2) count += credit[i]!;
      heardMs = performance.now();
      sender.tell({ type: 'credit', credit });
    });
    const window = Math.max(1, Math.floor(windowOf(settings) / senders));
    const phase = { rate: 0, senders, window, body_bytes, warmup_ms: NO_END_MS, measure_ms: 0 };
    receiver.tell({ type: 'phase', phase });
    sender.tell({ type: 'phase', phase });
    try {
      for (let i = 1; i <= SAMPLES; i++) {
        const next = Math.ceil((messages * i) / SAMPLES);
        while (count < next) {
          await pause(LOOK_MS);
          if (performance.now() - heardMs > STILL_MS)
            throw new Error(`nothing moves after ${count} messages`);
        }
        samples.push({ messages: count, memory_mb: usage.memory() });
        report(`soak: ${count} messages, MB ${JSON.stringify(samples.at(-1)!.memory_mb)}`);
      }
    } finally {
      await clients.stop();
    }
  } finally {
    await fabric.stop();
  }
  return { messages, samples, mb_per_million: growth(samples.slice(Math.floor(SAMPLES * WARM_UP))) };
}

/** Least squares, by role. */
export function growth(samples: Soak['samples']): ByRole {
  const x = samples.map((sample) => sample.messages / 1e6);
  const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const mx = mean(x);
  const spread = x.reduce((sum, v) => sum + (v - mx) ** 2, 0);
  const slopes = Object.keys(samples[0]?.memory_mb ?? {}).map((role) => {
    const y = samples.map((sample) => sample.memory_mb[role] ?? 0);
    const my = mean(y);
    const covered = x.reduce((sum, v, i) => sum + (v - mx) * (y[i]! - my), 0);
    return [role, round(covered / spread, 2)] as const;
  });
  return Object.fromEntries(slopes);
}
