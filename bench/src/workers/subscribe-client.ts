/** A client of the SDK: sends and asks one by one, or notes when what it is sent is shown, and answers what it is asked. */

import { pause } from '@fleetwire/kernel';
import { type Agent, connect } from '@fleetwire/sdk';
import { Arrivals } from './arrivals.ts';
import { machineMs, stampedBody, stampOf } from './protocol.ts';
import { serveTasks } from './tasks.ts';

export interface AttachSettings {
  readonly address: string;
  readonly token: string;
  readonly name: string;
}

export interface Samples {
  readonly body_bytes: number;
  readonly warmup: number;
  readonly samples: number;
  readonly gap_ms: number;
}

export interface RunSettings extends Samples {
  readonly to: string;
}

let agent: Agent | undefined;
/** What is awaited at the moment. */
let arrivals = new Arrivals({ warmup: 0, samples: 0 });

async function read(reader: Agent): Promise<void> {
  for await (const message of reader.messages()) {
    const latency = machineMs() - stampOf(message.body);
    if (message.deadline !== undefined) await reader.reply(message, message.body);
    else arrivals.add(latency);
  }
}

serveTasks({
  async attach(settings: AttachSettings) {
    agent = await connect(settings);
    void read(agent);
  },
  expect(samples: Samples) {
    arrivals = new Arrivals(samples);
  },
  arrivals: () => arrivals.all,
  async send({ to, body_bytes, warmup, samples, gap_ms }: RunSettings) {
    for (let i = 0; i < warmup + samples; i++) {
      await agent!.send(to, stampedBody(body_bytes, 0));
      await pause(gap_ms);
    }
  },
  async ask({ to, body_bytes, warmup, samples, gap_ms }: RunSettings) {
    const took: number[] = [];
    for (let i = 0; i < warmup + samples; i++) {
      const { body } = await agent!.ask(to, stampedBody(body_bytes, 0));
      took.push(machineMs() - stampOf(body));
      await pause(gap_ms);
    }
    return took.slice(warmup);
  },
});
