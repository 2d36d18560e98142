/** How long a message takes to a subscriber, and a question to its answer: SDK to SDK, and on the bare nats-server. */

import { COLLECTOR_FLAGS } from '@fleetwire/runtime';
import type { BenchFabric, BenchNode } from '../fabric.ts';
import { percentile, round } from '../percentiles.ts';
import { startTasks, type TaskProcess } from '../task-process.ts';
import type { AttachSettings, RunSettings } from '../workers/subscribe-client.ts';
import type { RawRun } from '../workers/subscribe-raw.ts';

export interface SubscribeOptions {
  readonly body_bytes: number;
  /** One under way at a time; so many before it counts, while Node.js compiles the hot functions of all processes. */
  readonly warmup: number;
  readonly samples: number;
  /** From one answer to the next question. */
  readonly gap_ms: number;
}

export interface Latency {
  readonly p50_ms: number;
  readonly p99_ms: number;
}

/** What went one way counts until it is shown to the program, what was asked until its answer is. */
export interface SubscribeFigures {
  /** From send() of one client to messages() of another one, on the same node and on another. */
  readonly same_node: Latency;
  readonly other_node: Latency;
  readonly ask_same_node: Latency;
  readonly ask_other_node: Latency;
  /** A publish until its subscriber has it, and a request until its answer, through the same nats-server. */
  readonly raw_publish: Latency;
  readonly raw_request: Latency;
  readonly samples: number;
}

export const SUBSCRIBE_DEFAULTS: SubscribeOptions = {
  body_bytes: 256,
  warmup: 500,
  samples: 2000,
  gap_ms: 2,
};

/** Two processes with a client each, and two with a bare connection; the fabric needs one node near and one far. */
export async function measureSubscribe(
  fabric: BenchFabric,
  options: SubscribeOptions = SUBSCRIBE_DEFAULTS,
): Promise<SubscribeFigures> {
  const [near, far] = [fabric.near[0]!, fabric.far[0]!];
  const raw = await measureRaw(fabric, options);
  return {
    ...raw,
    ...(await between(near, near, options, 'same')),
    ...(await between(near, far, options, 'other')),
    samples: options.samples,
  };
}

type Place = 'same' | 'other';
type OfPlace<P extends Place> = Record<`${P}_node` | `ask_${P}_node`, Latency>;

async function between<P extends Place>(
  from: BenchNode,
  to: BenchNode,
  options: SubscribeOptions,
  place: P,
): Promise<OfPlace<P>> {
  return withTasks('workers/subscribe-client', async (asker, answerer) => {
    const [name, other] = [`subscribe-${place}-a`, `subscribe-${place}-b`];
    await asker.run('attach', clientOf(from, name));
    await answerer.run('attach', clientOf(to, other));
    const run: RunSettings = { ...options, to: other };
    await answerer.run('expect', options);
    await asker.run('send', run);
    const sent = await answerer.run<number[]>('arrivals');
    const asked = await asker.run<number[]>('ask', run);
    return { [`${place}_node`]: latencyOf(sent), [`ask_${place}_node`]: latencyOf(asked) } as OfPlace<P>;
  });
}

const clientOf = ({ address, token }: BenchNode, name: string): AttachSettings => ({ address, token, name });

async function measureRaw(
  fabric: BenchFabric,
  options: SubscribeOptions,
): Promise<Pick<SubscribeFigures, 'raw_publish' | 'raw_request'>> {
  return withTasks('workers/subscribe-raw', async (asker, answerer) => {
    const run: RawRun = { ...options, url: fabric.natsUrl, creds: fabric.creds };
    await answerer.run('serve', run);
    await asker.run('send', run);
    const published = await answerer.run<number[]>('arrivals');
    const requested = await asker.run<number[]>('ask', run);
    return { raw_publish: latencyOf(published), raw_request: latencyOf(requested) };
  });
}

async function withTasks<T>(
  file: string,
  work: (asker: TaskProcess, answerer: TaskProcess) => Promise<T>,
): Promise<T> {
  const asker = startTasks(file, COLLECTOR_FLAGS);
  const answerer = startTasks(file, COLLECTOR_FLAGS);
  try {
    return await work(asker, answerer);
  } finally {
    await asker.stop();
    await answerer.stop();
  }
}

function latencyOf(samples: readonly number[]): Latency {
  return { p50_ms: round(percentile(samples, 0.5), 3), p99_ms: round(percentile(samples, 0.99), 3) };
}
