/** Isolation: one recipient stands still while its senders go on; how much longer the others' mail takes for it. */

import { startFabric } from '../fabric.ts';
import { median, percentile, round } from '../percentiles.ts';
import { startTasks, type TaskProcess } from '../task-process.ts';
import {
  OUTBOX_RECIPIENT_MESSAGES,
  placeOf,
  STOPPED,
  STOPPED_NODE_ENV,
  type StoodStill,
  StoppedRecipient,
} from './stopped-recipient.ts';
import { QUEUE_MESSAGES } from './stopped-watch.ts';

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

export interface Isolation extends StoodStill {
  readonly undisturbed: ByPlace;
  readonly disturbed: ByPlace;
  /** Of the 99th percentiles, disturbed to undisturbed. */
  readonly times: { readonly neighbours: number; readonly others: number };
  readonly settings: typeof SETTINGS;
}

const SETTINGS = {
  /** Messages a second to each recipient; to the stopped one twice as many. */
  rate_each: 50,
  senders: 4,
  body_bytes: 256,
  queue_messages: QUEUE_MESSAGES,
  outbox_recipient_messages: OUTBOX_RECIPIENT_MESSAGES,
  neighbours: 2,
  others: 2,
} as const;
/** All processes are warm, and their code is compiled. */
const WARM_UP_MS = 6000;
const LOOK_MS = 50;
const NODES = { partitions: 8, routers: 1, near: 2, far: 2 } as const;

/** Both windows have `seconds`, at the same rates; the undisturbed one has the same recipient, taking its mail. */
export async function isolation(seconds: number, report: (line: string) => void): Promise<Isolation> {
  const fabric = await startFabric({ ...NODES, node_env: STOPPED_NODE_ENV });
  const takers = startTasks('workers/isolation-clients');
  let recipient: StoppedRecipient | undefined;
  try {
    const [home, away] = fabric.far;
    recipient = await StoppedRecipient.start(home!, fabric.near, named('from', SETTINGS.senders));
    await takers.run('takers', { place: placeOf(home!), names: named('neighbour', SETTINGS.neighbours) });
    await takers.run('takers', { place: placeOf(away!), names: named('other', SETTINGS.others) });
    const measured = await new IsolationBench(recipient, takers, seconds * 1000).measure();
    const { neighbours, others } = measured.times;
    report(`isolation: p99 of neighbours ${neighbours} x, of others ${others} x the undisturbed`);
    return measured;
  } finally {
    await recipient?.close();
    await takers.stop();
    await fabric.stop();
  }
}

class IsolationBench {
  readonly #recipient: StoppedRecipient;
  readonly #takers: TaskProcess;
  readonly #ms: number;

  constructor(recipient: StoppedRecipient, takers: TaskProcess, ms: number) {
    this.#recipient = recipient;
    this.#takers = takers;
    this.#ms = ms;
  }

  async measure(): Promise<Isolation> {
    await this.#pace(WARM_UP_MS);
    const undisturbed = await this.#window();
    await this.#recipient.standStill(LOOK_MS);
    const disturbed = await this.#window();
    const stood = await this.#recipient.goOn();
    const times = (of: keyof ByPlace) => round(disturbed[of].p99_ms / undisturbed[of].p99_ms, 2);
    return {
      undisturbed,
      disturbed,
      times: { neighbours: times('neighbours'), others: times('others') },
      ...stood,
      settings: SETTINGS,
    };
  }

  async #window(): Promise<ByPlace> {
    await this.#takers.run('begin');
    await this.#pace(this.#ms);
    const all = Object.entries(await this.#takers.run<Record<string, number[]>>('latencies'));
    const of = (place: string) => all.flatMap(([name, ms]) => (name.startsWith(place) ? ms : []));
    return { neighbours: latencyOf(of('neighbour')), others: latencyOf(of('other')) };
  }

  #pace(ms: number): Promise<void> {
    const to = [...named('neighbour', SETTINGS.neighbours), ...named('other', SETTINGS.others)];
    to.push(STOPPED, STOPPED);
    return this.#recipient.pace({ to, rate: SETTINGS.rate_each * to.length, bytes: SETTINGS.body_bytes, ms });
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
