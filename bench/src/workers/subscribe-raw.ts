/** A bare connection to the fabric's nats-server: publishes and requests one by one, or notes what comes and answers it. */

import { type Broker, connectBroker } from '@fleetwire/broker';
import { pause } from '@fleetwire/kernel';
import { Arrivals } from './arrivals.ts';
import { machineMs, stampedBody, stampOf } from './protocol.ts';
import type { Samples } from './subscribe-client.ts';
import { serveTasks } from './tasks.ts';

export interface RawRun extends Samples {
  readonly url: string;
  readonly creds: string;
}

const ONE_WAY = 'bench.subscribe.one-way';
const QUESTION = 'bench.subscribe.question';
const ANSWER_MS = 10_000;

let broker: Broker | undefined;
let arrivals = new Arrivals({ warmup: 0, samples: 0 });

const connection = async ({ url, creds }: RawRun): Promise<Broker> => {
  broker ??= await connectBroker({ urls: [url], name: 'bench', credsFile: creds });
  return broker;
};

serveTasks({
  async serve(run: RawRun) {
    const server = await connection(run);
    arrivals = new Arrivals(run);
    server.subscribe(ONE_WAY, ({ data }) => arrivals.add(machineMs() - stampOf(data)));
    server.subscribe(QUESTION, (message) => message.respond(message.data));
  },
  arrivals: () => arrivals.all,
  async send(run: RawRun) {
    const client = await connection(run);
    for (let i = 0; i < run.warmup + run.samples; i++) {
      client.publish(ONE_WAY, stampedBody(run.body_bytes, 0));
      await pause(run.gap_ms);
    }
  },
  async ask(run: RawRun) {
    const client = await connection(run);
    const took: number[] = [];
    for (let i = 0; i < run.warmup + run.samples; i++) {
      const answer = await client.request(QUESTION, stampedBody(run.body_bytes, 0), ANSWER_MS);
      took.push(machineMs() - stampOf(answer));
      await pause(run.gap_ms);
    }
    return took.slice(run.warmup);
  },
});
