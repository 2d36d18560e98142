/** Carries moves on until they are done: one replica at a time, any of them, from what PostgreSQL says. */

import type { Lease } from '@fleetwire/broker';
import type { FlushRequest } from '@fleetwire/gen/message';
import { asFleetwireError, type Clock, nowMs, pause, slices } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RegistryConfig } from '../config.ts';
import { oldInbox } from '../domain/moving.ts';
import type { MoveRow, MoveRows } from '../store/moves.ts';

export interface MoverOptions {
  readonly moves: Pick<MoveRows, 'open' | 'ended' | 'prune' | 'find'>;
  /** Undefined: another replica is at it. */
  readonly acquire: () => Promise<Lease | undefined>;
  /** True when another step may follow at once. */
  readonly step: (
    move: MoveRow,
    flushed: (move: MoveRow) => Promise<boolean>,
    mayGoOn: () => boolean,
  ) => Promise<boolean>;
  readonly late: (move: MoveRow, mayGoOn: () => boolean) => Promise<number>;
  /** Nobody looks at nodes, or did for a while. */
  readonly hadBreak: () => void;
  readonly routers: () => Promise<ReadonlySet<string>>;
  /** Those that may still send to the old place. */
  readonly notFlushed: (routers: ReadonlySet<string>, request: FlushRequest) => Promise<string[]>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: Pick<
    RegistryConfig,
    'move_ms' | 'moves_max' | 'move_late_ms' | 'move_keep_ms' | 'sweep_ms'
  >;
}

const AT_ONCE = 8;
/** A move has fewer states; more steps in a row would be a circle. */
const STEPS_MAX = 8;
/** Looks for late mail are this many times rarer than looks at moves under way. */
const LATE_EVERY = 10;

export class Mover {
  readonly name = 'mover';
  readonly #o: MoverOptions;
  readonly #stopping = new AbortController();
  #woken = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #holding = false;
  #underWay = 0;
  /** Where the next look goes on, at what is open and at what has ended, when there are more moves than one look takes. */
  #behind: MoveRow | undefined;
  #behindEnded: MoveRow | undefined;

  constructor(options: MoverOptions) {
    this.#o = options;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** For status pages: whether this replica moves mail, and how many moves it saw under way last. */
  get state(): { readonly holding: boolean; readonly under_way: number } {
    return { holding: this.#holding, under_way: this.#underWay };
  }

  /** Something has changed about a move: do not wait for the next look. */
  wake(): void {
    this.#woken.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const lease = await this.#attempt('lease', () => this.#o.acquire());
      if (lease) await this.#hold(lease);
      else await pause(this.#o.config.sweep_ms, signal);
    }
  }

  async #hold(lease: Lease): Promise<void> {
    const over = AbortSignal.any([this.#stopping.signal, lease.lost]);
    const mayGoOn = () => lease.valid() && !over.aborted;
    this.#holding = true;
    this.#o.hadBreak();
    try {
      for (let look = 0; mayGoOn(); look++) {
        this.#woken = new AbortController();
        await this.#attempt('moves', () => this.#carryOn(mayGoOn));
        if (look % LATE_EVERY === 0) await this.#attempt('late mail', () => this.#lookForLate(mayGoOn));
        await pause(this.#o.config.move_ms, AbortSignal.any([over, this.#woken.signal]));
      }
    } finally {
      this.#holding = false;
      await lease.release();
    }
  }

  async #carryOn(mayGoOn: () => boolean): Promise<void> {
    const { moves, config, routers, notFlushed, log } = this.#o;
    const behind = this.#behind;
    const open = await moves.open(config.moves_max, behind);
    this.#behind = open.length < config.moves_max ? undefined : open.at(-1);
    this.#underWay = open.length;
    if (open.length === 0) {
      if (behind === undefined) this.#o.hadBreak();
      return;
    }
    const live = routers();
    live.catch(() => undefined); // told by whoever asks for it
    const flushed = async (move: MoveRow) => {
      const { org, agent, epoch } = move;
      const waitsFor = await notFlushed(await live, { org, agent, epoch, subject: oldInbox(move) });
      if (waitsFor.length > 0) log.debug({ agent, routers: waitsFor }, 'a move waits for routers');
      return waitsFor.length === 0;
    };
    for (const some of slices(open, AT_ONCE)) {
      if (!mayGoOn()) return;
      await Promise.all(some.map((move) => this.#stepOn(move, flushed, mayGoOn)));
    }
  }

  async #stepOn(move: MoveRow, flushed: (move: MoveRow) => Promise<boolean>, mayGoOn: () => boolean) {
    const { agent, epoch } = move;
    try {
      let now: MoveRow | undefined = move;
      for (let step = 0; step < STEPS_MAX && now !== undefined && mayGoOn(); step++) {
        if (!(await this.#o.step(now, flushed, mayGoOn))) return;
        now = await this.#o.moves.find(agent, epoch);
      }
    } catch (error) {
      this.#o.log.warn({ err: asFleetwireError(error), agent, state: move.state }, 'a move is held up');
    }
  }

  async #lookForLate(mayGoOn: () => boolean): Promise<void> {
    const { moves, config, clock, late, log } = this.#o;
    const now = nowMs(clock);
    const ended = await moves.ended(now - config.move_late_ms, config.moves_max, this.#behindEnded);
    this.#behindEnded = ended.length < config.moves_max ? undefined : ended.at(-1);
    for (const move of ended) {
      if (!mayGoOn()) return;
      const { agent } = move;
      const found = await this.#attempt('late mail', () => late(move, mayGoOn));
      if (found) log.info({ agent, found }, 'mail that came late to an old place was moved on');
    }
    await moves.prune(now - config.move_keep_ms);
  }

  /** Dependencies come back by themselves: what failed is done at the next look. */
  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        this.#o.log.warn({ err: asFleetwireError(error), what }, 'moving is held up');
      return undefined;
    }
  }
}
