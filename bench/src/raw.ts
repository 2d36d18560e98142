/** The raw limit: publish, relay, publish, consume with acknowledgements, on the fabric's own nats-server. */

import { type Broker, connectBroker } from '@fleetwire/broker';
import type { ConsumerSpec, StreamSpec } from '@fleetwire/contract';
import { type Figures, type Load, runPhases, type Timing } from './phases.ts';
import { startWorker, type Worker } from './worker-process.ts';
import {
  RAW_CONSUMERS,
  RAW_FIRST,
  RAW_SECOND,
  RAW_STREAMS,
  type RawSettings,
} from './workers/raw-settings.ts';

const SECOND_NS = 1_000_000_000;

/** The same retention, dedupe window and acknowledgements as the fabric's own streams. */
function streams(): StreamSpec[] {
  const base = {
    retention: 'workqueue',
    discard: 'new',
    discard_new_per_subject: false,
    max_msgs_per_subject: -1,
    max_bytes: 1024 * 1024 * 1024,
    max_age: 0,
    duplicate_window: 60 * SECOND_NS,
    allow_direct: true,
  } as const;
  return [
    { ...base, name: RAW_STREAMS.first as never, subjects: [RAW_FIRST] },
    { ...base, name: RAW_STREAMS.second as never, subjects: [RAW_SECOND] },
  ];
}

function consumer(stream: string, durable_name: string, filter_subject: string): ConsumerSpec {
  return {
    stream: stream as never,
    durable_name,
    filter_subject,
    ack_policy: 'explicit',
    deliver_policy: 'all',
    ack_wait: 30 * SECOND_NS,
    max_deliver: -1,
    max_ack_pending: 4096,
  };
}

export async function runRaw(connection: RawSettings, load: Load, timing: Timing): Promise<Figures> {
  const broker = await connectBroker({ urls: [connection.url], name: 'bench', credsFile: connection.creds });
  const workers: Worker[] = [];
  try {
    await broker.streams.ensure(streams(), 1);
    await broker.consumers.recreate(consumer(RAW_STREAMS.first, RAW_CONSUMERS.relay, RAW_FIRST));
    await broker.consumers.recreate(consumer(RAW_STREAMS.second, RAW_CONSUMERS.sink, RAW_SECOND));
    for (const name of ['raw-consumer', 'raw-relay', 'raw-producer'])
      workers.push(await startWorker(name, connection));
    return await runPhases(workers[2]!, workers[0]!, load, timing);
  } finally {
    for (const worker of workers.reverse()) await worker.stop();
    for (const name of Object.values(RAW_STREAMS)) await remove(broker, name);
    await broker.close();
  }
}

/** With all that the server remembers of it: its dedupe ids alone are hundreds of megabytes for the garbage collector. */
async function remove(broker: Broker, stream: string): Promise<void> {
  await broker.request(`$JS.API.STREAM.DELETE.${stream}`, new Uint8Array(), 10_000);
}
