/** How far delivery is behind what the streams hold, and how quickly it catches up: looked at every few seconds. */

import type { Consumers } from '@fleetwire/broker';
import type { ConsumerSpec } from '@fleetwire/contract';
import type { ConsumerProgress } from '@fleetwire/gen/delivery';
import type { Clock } from '@fleetwire/kernel';
import { Rounds } from '@fleetwire/runtime';
import type { Logger } from '@fleetwire/telemetry';
import { Progress, type ProgressFigures } from '../domain/progress.ts';

/** A loop that works off one consumer. */
export interface WatchedLoop {
  readonly name: string;
  readonly stats: { readonly messages: number; readonly rows: number };
  /** What it has cannot be written: PostgreSQL is away. */
  readonly waiting: boolean;
}

export interface BacklogLimits {
  readonly intervalMs: number;
  /** From so many waiting stream messages on it counts as behind, and the log says so. */
  readonly behind: number;
  /** Between two lines about the same consumer. */
  readonly logMs: number;
}

export interface BacklogOptions {
  readonly consumers: Pick<Consumers, 'info'>;
  readonly loops: readonly { readonly loop: WatchedLoop; readonly consumer: ConsumerSpec }[];
  readonly clock: Clock;
  readonly limits: BacklogLimits;
  readonly log: Logger;
}

export class Backlog {
  readonly name = 'backlog';
  readonly #o: BacklogOptions;
  readonly #rounds: Rounds;
  readonly #progress = new Map<string, Progress>();
  readonly #toldAtMs = new Map<string, number>();

  constructor(options: BacklogOptions) {
    this.#o = options;
    for (const { loop } of options.loops) this.#progress.set(loop.name, new Progress());
    const { intervalMs } = options.limits;
    this.#rounds = new Rounds({
      name: this.name,
      intervalMs,
      log: options.log,
      work: () => this.#lookAtAll(),
    });
  }

  /** By consumer, as of the last look. */
  get figures(): Readonly<Record<string, ProgressFigures>> {
    return Object.fromEntries([...this.#progress].map(([name, { figures }]) => [name, figures]));
  }

  /** For callers: as `figures`, with what keeps it. */
  get progress(): ConsumerProgress[] {
    return this.#o.loops.map(({ loop }) => {
      const { rows, rows_per_s, seconds_left } = this.#progress.get(loop.name)!.figures;
      const left = seconds_left === null ? {} : { secondsLeft: seconds_left };
      return { consumer: loop.name, waiting: rows, perSecond: rows_per_s, stalled: loop.waiting, ...left };
    });
  }

  start(): void {
    this.#rounds.start();
  }

  stop(): Promise<void> {
    return this.#rounds.stop();
  }

  async #lookAtAll(): Promise<void> {
    for (const each of this.#o.loops) await this.#look(each);
  }

  async #look({ loop, consumer }: BacklogOptions['loops'][number]): Promise<void> {
    const info = await this.#o.consumers.info(consumer.stream, consumer.durable_name);
    if (info === undefined) return;
    const progress = this.#progress.get(loop.name)!;
    const { messages, rows } = loop.stats;
    progress.see({
      atMs: this.#o.clock.monotonicMs(),
      waiting: info.numPending + info.numAckPending,
      done: info.deliveredSequence - info.numAckPending,
      rowsEach: messages === 0 ? 1 : rows / messages,
    });
    this.#tell(loop, progress.figures);
  }

  #tell({ name: what, waiting: stuck }: WatchedLoop, figures: ProgressFigures): void {
    const { clock, limits, log } = this.#o;
    const nowMs = clock.monotonicMs();
    const toldAtMs = this.#toldAtMs.get(what);
    if (figures.waiting < limits.behind) {
      if (toldAtMs === undefined) return;
      this.#toldAtMs.delete(what);
      log.info({ what, ...figures }, 'has caught up');
    } else if (toldAtMs === undefined || nowMs - toldAtMs >= limits.logMs) {
      this.#toldAtMs.set(what, nowMs);
      log.info({ what, ...figures }, stuck ? 'is behind: PostgreSQL is away' : 'is behind, catching up');
    }
  }
}
