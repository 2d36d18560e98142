/**
 * The soak: messages as fast as they go, and by how much each process grows for every million of them, while one
 * recipient stands still and its sender goes on.
 */

import { pause } from '@fleetwire/kernel';
import { type BenchFabric, NODE_FLAGS, startFabric } from '../fabric.ts';
import { round } from '../percentiles.ts';
import type { ByRole } from '../process-usage.ts';
import { startClients } from './clients.ts';
import { type PointSettings, windowOf } from './point.ts';
import { STOPPED, STOPPED_NODE_ENV, type StoodStill, StoppedRecipient } from './stopped-recipient.ts';
import { shapeOf } from './sweep.ts';

export interface Soak {
  readonly messages: number;
  /** Memory is the mean since the sample before. */
  readonly samples: readonly { readonly messages: number; readonly memory_mb: ByRole }[];
  /** By a straight line through the samples after the first third. */
  readonly mb_per_million: ByRole;
  readonly stopped: StoodStill;
}

const SAMPLES = 24;
const WARM_UP = 1 / 3;
const LOOK_MS = 20;
/** Between two looks, at memory above all: it goes up and down with the collections of a process, a few seconds apart. */
const MEMORY_MS = 1000;
/** Longer than any soak; a timer of Node.js takes no more. */
const NO_END_MS = 2 ** 31 - 1;
/** Without a message for so long, something stands still. */
const STILL_MS = 60_000;
/** Messages a second to the one that stands still. */
const STOPPED_RATE = 50;
const PACE_MS = 1000;

export async function soak(
  settings: PointSettings,
  messages: number,
  report: (line: string) => void,
): Promise<Soak> {
  const fabric = await startFabric({ ...shapeOf(settings), node_env: STOPPED_NODE_ENV });
  let recipient: StoppedRecipient | undefined;
  try {
    recipient = await StoppedRecipient.start(fabric.far[0]!, fabric.near, ['to-the-stopped']);
    await recipient.standStill(MEMORY_MS);
    const enough = new AbortController();
    const { body_bytes } = settings;
    const pace = { to: [STOPPED], rate: STOPPED_RATE, bytes: body_bytes, ms: PACE_MS };
    const writing = recipient.paceUntil(enough.signal, pace);
    let samples: Soak['samples'];
    try {
      samples = await flood({ fabric, recipient, settings, messages, report });
    } finally {
      enough.abort();
      await writing;
    }
    const stopped = await recipient.goOn();
    const late = samples.slice(Math.floor(SAMPLES * WARM_UP));
    return { messages, samples, mb_per_million: growth(late), stopped };
  } finally {
    await recipient?.close();
    await fabric.stop();
  }
}

interface Flood {
  readonly fabric: BenchFabric;
  readonly recipient: StoppedRecipient;
  readonly settings: PointSettings;
  readonly messages: number;
  readonly report: (line: string) => void;
}

/** Clients have the flags of services: their young generation grows by default whenever much survives at a time. */
async function flood({ fabric, recipient, settings, messages, report }: Flood): Promise<Soak['samples']> {
  const { body_bytes, senders, receivers } = settings;
  const samples: { messages: number; memory_mb: ByRole }[] = [];
  const clients = await startClients(fabric, senders, receivers, NODE_FLAGS);
  try {
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
    for (let i = 1; i <= SAMPLES; i++) {
      const next = Math.ceil((messages * i) / SAMPLES);
      const looks = [usage.memory()];
      for (let lookedMs = performance.now(); count < next; await pause(LOOK_MS)) {
        const now = performance.now();
        if (now - heardMs > STILL_MS) throw new Error(`nothing moves after ${count} messages`);
        recipient.check();
        if (now - lookedMs < MEMORY_MS) continue;
        looks.push(usage.memory());
        lookedMs = now;
      }
      samples.push({ messages: count, memory_mb: meanOf(looks) });
      report(`soak: ${count} messages, MB ${JSON.stringify(samples.at(-1)!.memory_mb)}`);
    }
    return samples;
  } finally {
    await clients.stop();
  }
}

/** A role of which a process could not be read in one look is in the others. */
function meanOf(looks: readonly ByRole[]): ByRole {
  const roles = new Set(looks.flatMap((look) => Object.keys(look)));
  const mean = (role: string) => {
    const known = looks.flatMap((look) => look[role] ?? []);
    return known.reduce((sum, mb) => sum + mb, 0) / known.length;
  };
  return Object.fromEntries([...roles].map((role) => [role, round(mean(role), 2)]));
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
