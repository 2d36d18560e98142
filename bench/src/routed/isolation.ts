/** Isolation: one recipient stands still while its senders go on; how much longer the others' mail takes for it. */

import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { pause } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import { type BenchNode, startFabric } from '../fabric.ts';
import { median, percentile, round } from '../percentiles.ts';
import { startTasks, type TaskProcess } from '../task-process.ts';
import { QUEUE_MESSAGES, type Watched, watch } from './isolation-watch.ts';

export interface Latency {
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly samples: number;
}

/** Of those that live on the stopped one's node, and of those elsewhere. */
export interface ByPlace {
  readonly neighbours: Latency;
  readonly others: Latency;
}

export interface Isolation extends Watched {
  readonly undisturbed: ByPlace;
  readonly disturbed: ByPlace;
  /** Of the 99th percentiles, disturbed to undisturbed. */
  readonly times: { readonly neighbours: number; readonly others: number };
  readonly accepted: number;
  /** By the stage of the final receipt. */
  readonly ends: Readonly<Record<string, number>>;
  /** Accepted, and without an end when the time was over: 0 is right. */
  readonly unended: number;
  readonly settings: typeof SETTINGS;
}

const SETTINGS = {
  /** Messages a second to each recipient; to the stopped one twice as many. */
  rate_each: 50,
  senders: 4,
  body_bytes: 256,
  queue_messages: QUEUE_MESSAGES,
  /** Of each sender: what may wait for the stopped one before it is refused. */
  outbox_recipient_messages: 25,
  neighbours: 2,
  others: 2,
} as const;
const STOPPED = 'stopped';
/** All processes are warm, and their code is compiled. */
const WARM_UP_MS = 6000;
/** Within this time after it goes on all of its mail has ended. */
const SETTLE_MS = 30_000;
const LOOK_MS = 100;
const NODES = { partitions: 8, routers: 1, near: 2, far: 2 } as const;

interface State {
  readonly accepted: number;
  readonly open: number;
  readonly ends: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
}

/** Both windows have `seconds`, at the same rates; the undisturbed one has the same recipient, taking its mail. */
export async function isolation(seconds: number, report: (line: string) => void): Promise<Isolation> {
  const bound = String(SETTINGS.outbox_recipient_messages);
  const node_env = { FLEETWIRE_NODE_OUTBOX_RECIPIENT_MESSAGES: bound };
  const fabric = await startFabric({ ...NODES, node_env });
  const processes = ['senders', 'takers', 'stopped'].map(() => startTasks('workers/isolation-clients'));
  const [senders, takers, stopped] = processes as [TaskProcess, TaskProcess, TaskProcess];
  const clients: RpcClient<typeof NodeServiceDefinition>[] = [];
  try {
    const bench = { senders, takers, stopped, ms: seconds * 1000 };
    const at = ({ address, token }: BenchNode) => ({ address, token });
    const [home, away] = fabric.far.map(at);
    await senders.run('senders', { places: fabric.near.map(at), names: named('from', SETTINGS.senders) });
    await takers.run('takers', { place: home, names: named('neighbour', SETTINGS.neighbours) });
    await takers.run('takers', { place: away, names: named('other', SETTINGS.others) });
    await stopped.run('stopped', { place: home, name: STOPPED, messages: QUEUE_MESSAGES });
    for (const place of [home!, ...fabric.near.map(at)])
      clients.push(
        createRpcClient(NodeServiceDefinition, { address: place.address, token: () => place.token }),
      );
    const measured = await new IsolationBench(bench, clients).measure();
    const { neighbours, others } = measured.times;
    report(`isolation: p99 of neighbours ${neighbours} x, of others ${others} x the undisturbed`);
    return measured;
  } finally {
    for (const client of clients) client.close();
    for (const each of processes) await each.stop();
    await fabric.stop();
  }
}

type Nodes = readonly RpcClient<typeof NodeServiceDefinition>[];
type Parts = Record<'senders' | 'takers' | 'stopped', TaskProcess> & { readonly ms: number };

class IsolationBench {
  readonly #b: Parts;
  readonly #nodes: Nodes;

  constructor(bench: Parts, nodes: Nodes) {
    this.#b = bench;
    this.#nodes = nodes;
  }

  async measure(): Promise<Isolation> {
    const { senders, stopped } = this.#b;
    await stopped.run('goOn');
    await this.#pace(WARM_UP_MS);
    const undisturbed = await this.#window();
    await stopped.run('standStill');
    const watching = watch(this.#nodes, STOPPED);
    const disturbed = await this.#window();
    const { refusals } = await senders.run<State>('state');
    await stopped.run('goOn');
    const { accepted, open, ends } = await this.#settle();
    const times = (of: keyof ByPlace) => round(disturbed[of].p99_ms / undisturbed[of].p99_ms, 2);
    return {
      undisturbed,
      disturbed,
      times: { neighbours: times('neighbours'), others: times('others') },
      ...(await watching.end(refusals)),
      accepted,
      ends,
      unended: open,
      settings: SETTINGS,
    };
  }

  async #window(): Promise<ByPlace> {
    const { takers, senders } = this.#b;
    await Promise.all([takers.run('begin'), senders.run('begin')]);
    await this.#pace(this.#b.ms);
    const all = Object.entries(await takers.run<Record<string, number[]>>('latencies'));
    const of = (place: string) => all.flatMap(([name, ms]) => (name.startsWith(place) ? ms : []));
    return { neighbours: latencyOf(of('neighbour')), others: latencyOf(of('other')) };
  }

  async #pace(ms: number): Promise<void> {
    const to = [...named('neighbour', SETTINGS.neighbours), ...named('other', SETTINGS.others)];
    to.push(STOPPED, STOPPED);
    const rate = SETTINGS.rate_each * to.length;
    await this.#b.senders.run('pace', { to, rate, bytes: SETTINGS.body_bytes, ms });
  }

  /** Until all that was accepted has ended, or has had its time for it. */
  async #settle(): Promise<State> {
    const until = performance.now() + SETTLE_MS;
    for (;;) {
      const state = await this.#b.senders.run<State>('state');
      if (state.open === 0 || performance.now() > until) return state;
      await pause(LOOK_MS);
    }
  }
}

function latencyOf(samples: readonly number[]): Latency {
  return {
    p50_ms: round(median(samples), 3),
    p99_ms: round(percentile(samples, 0.99), 3),
    samples: samples.length,
  };
}

function named(what: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${what}-${i + 1}`);
}
