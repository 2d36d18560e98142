/** Fan-out: one message to a channel of many agents on several nodes, against one direct message to each of them. */

import { type Broker, connectBroker } from '@fleetwire/broker';
import { DELIVERY_RECEIPTS } from '@fleetwire/contract';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { pause } from '@fleetwire/kernel';
import { createRpcClient } from '@fleetwire/rpc';
import { type BenchFabric, startFabric } from '../fabric.ts';
import { round } from '../percentiles.ts';
import { type ByRole, cpuPerMessage, pidsOf, readCpu } from '../process-usage.ts';
import { startTasks, type TaskProcess } from '../task-process.ts';

export interface FanOut {
  readonly agents: number;
  readonly nodes: number;
  /** CPU of all processes together until the entries are in the inbox stream, for one message to all agents. */
  readonly to_inboxes: {
    readonly channel_cpu_us: ByRole;
    readonly direct_cpu_us: ByRole;
    readonly times: number;
  };
  /** Likewise until every agent has acknowledged and the receipts are written. */
  readonly end_to_end: {
    readonly channel_cpu_us: ByRole;
    readonly direct_cpu_us: ByRole;
    readonly times: number;
  };
}

/** The fabric has no fan-out yet, or not all of it. */
export interface Pending {
  readonly pending: string;
}

const AGENTS = 1000;
const NODES = 10;
const BYTES = 256;
const CHANNEL = '#crowd';
/** Posts, and rounds of direct messages, in each measurement: CPU is counted in hundredths of a second. */
const POSTS = 100;
const ROUNDS = 5;
const WARM_ROUNDS = 3;
const PROBE_MS = 15_000;
const LONGEST_MS = 120_000;
const LOOK_MS = 50;
/** Everything has come to rest when nothing has changed in the streams for so long, and history has all receipts. */
const REST_MS = 500;
/** CPU time of the sending node in that time, while it has nothing to do. */
const QUIET_US = 20_000;

export async function fanOut(report: (line: string) => void): Promise<FanOut | Pending> {
  const fabric = await startFabric({ partitions: 8, routers: 1, near: 1, far: NODES });
  const processes = {
    sender: startTasks('workers/fan-out-clients'),
    receiver: startTasks('workers/fan-out-clients'),
  };
  const { natsUrl, creds } = fabric;
  const broker = await connectBroker({ urls: [natsUrl], name: 'bench', credsFile: creds });
  try {
    const bench = new FanOutBench(fabric, broker, processes);
    const ids = await bench.connect();
    report(`${AGENTS} agents on ${NODES} nodes`);
    const fault = await bench.makeChannel(ids).then(() => bench.probe(), String);
    if (fault !== undefined) return { pending: fault };
    const measured = await bench.measure();
    report(
      `fan-out: ${measured.to_inboxes.times} x cheaper into the inboxes, ${measured.end_to_end.times} x to the end`,
    );
    return measured;
  } finally {
    await broker.close();
    for (const each of Object.values(processes)) await each.stop();
    await fabric.stop();
  }
}

class FanOutBench {
  readonly #fabric: BenchFabric;
  readonly #broker: Broker;
  readonly #sender: TaskProcess;
  readonly #receiver: TaskProcess;
  readonly #names = Array.from({ length: AGENTS }, (_, i) => `to-${i}`);
  #expected = 0;

  constructor(
    fabric: BenchFabric,
    broker: Broker,
    processes: { readonly sender: TaskProcess; readonly receiver: TaskProcess },
  ) {
    this.#fabric = fabric;
    this.#broker = broker;
    this.#sender = processes.sender;
    this.#receiver = processes.receiver;
  }

  async connect(): Promise<string[]> {
    const own = this.#fabric.far.map(({ address, token }, n) => ({
      address,
      token,
      agents: this.#names.filter((_, i) => i % NODES === n),
    }));
    const [near] = this.#fabric.near;
    await this.#sender.run('connect', { own: [{ ...near, agents: ['from'] }] });
    return (await this.#receiver.run<{ ids: string[] }>('connect', { own })).ids;
  }

  async makeChannel(agents: readonly string[]): Promise<void> {
    const { registry: address, admin } = this.#fabric;
    const client = createRpcClient(RegistryServiceDefinition, { address, token: admin.token });
    try {
      await client.createChannel({ name: CHANNEL.slice(1) });
      await client.joinChannel({ channel: CHANNEL, agents: [...agents] });
    } finally {
      client.close();
    }
  }

  /** What keeps one post from all agents; undefined: nothing. */
  async probe(): Promise<string | undefined> {
    try {
      await this.#post(1);
      await this.#arrived(PROBE_MS);
      return undefined;
    } catch (error) {
      return `a post to ${CHANNEL} does not reach all: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  async measure(): Promise<FanOut> {
    await this.#direct(WARM_ROUNDS);
    await this.#post(POSTS);
    await this.#arrived(LONGEST_MS);
    const to_inboxes = await this.#compare((times, send) => this.#toInboxes(times, send));
    const end_to_end = await this.#compare((times, send) =>
      this.#cpuOf(times, async () => {
        await send();
        await this.#arrived(LONGEST_MS);
        await this.#rest();
      }),
    );
    return { agents: AGENTS, nodes: NODES, to_inboxes, end_to_end };
  }

  async #compare(cpuOf: (times: number, send: () => Promise<void>) => Promise<ByRole>) {
    const channel_cpu_us = await cpuOf(POSTS, () => this.#post(POSTS));
    await this.#arrived(LONGEST_MS);
    const direct_cpu_us = await cpuOf(ROUNDS, () => this.#direct(ROUNDS));
    await this.#arrived(LONGEST_MS);
    return {
      channel_cpu_us,
      direct_cpu_us,
      times: round(direct_cpu_us['total']! / channel_cpu_us['total']!, 1),
    };
  }

  /** The receiving nodes stand still meanwhile, so that nothing of what follows is counted. */
  async #toInboxes(times: number, send: () => Promise<void>): Promise<ByRole> {
    const pids = this.#fabric.far.flatMap(({ name }) => pidsOf(this.#fabric.home, `node-${name}`));
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      return await this.#cpuOf(times, async () => {
        await send();
        await this.#rest();
      });
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
  }

  async #cpuOf(times: number, run: () => Promise<void>): Promise<ByRole> {
    await this.#rest();
    await this.#quiet();
    const before = this.#cpu();
    await run();
    return cpuPerMessage(before, this.#cpu(), times);
  }

  #cpu(): ByRole {
    const given = new Map([
      [this.#sender.pid, 'sender'],
      [this.#receiver.pid, 'receiver'],
    ]);
    return readCpu(this.#fabric.home, given);
  }

  /** What the streams do not show: the sending node still has receipts of what was before to read. */
  async #quiet(): Promise<void> {
    const until = performance.now() + LONGEST_MS;
    for (let before = this.#cpu(); performance.now() < until; ) {
      await pause(REST_MS);
      const now = this.#cpu();
      const [from, to] = [before['node-near'] ?? 0, now['node-near'] ?? 0];
      if (to - from <= QUIET_US) return;
      before = now;
    }
  }

  async #direct(rounds: number): Promise<void> {
    await this.#sender.run('send', { to: this.#names, rounds, bytes: BYTES });
    this.#expected += AGENTS * rounds;
  }

  async #post(posts: number): Promise<void> {
    await this.#sender.run('send', { to: [CHANNEL], rounds: posts, bytes: BYTES });
    this.#expected += AGENTS * posts;
  }

  async #arrived(ms: number): Promise<void> {
    const until = performance.now() + ms;
    for (;;) {
      const { received } = await this.#receiver.run<{ received: number }>('received');
      if (received >= this.#expected) return;
      if (performance.now() > until) throw new Error(`${received} of ${this.#expected} have arrived`);
      await pause(LOOK_MS);
    }
  }

  async #rest(): Promise<void> {
    let before = '';
    for (let still = 0; still < REST_MS; still += LOOK_MS) {
      await pause(LOOK_MS);
      const { streams, pending } = await this.#state();
      if (streams !== before || pending > 0) still = 0;
      before = streams;
    }
  }

  async #state(): Promise<{ streams: string; pending: number }> {
    const states = ['INGRESS', 'INBOX', 'RECEIPTS'].map(async (name) => {
      const { state } = await this.#ask(`STREAM.INFO.${name}`);
      return `${state.last_seq} ${state.messages}`;
    });
    const { stream, durable_name } = DELIVERY_RECEIPTS;
    const { num_pending, num_ack_pending } = await this.#ask(`CONSUMER.INFO.${stream}.${durable_name}`);
    return { streams: (await Promise.all(states)).join(', '), pending: num_pending + num_ack_pending };
  }

  async #ask(call: string) {
    const answer = await this.#broker.request(`$JS.API.${call}`, new Uint8Array(), 5000);
    return JSON.parse(new TextDecoder().decode(answer));
  }
}
