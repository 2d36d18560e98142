/** A component that does the same work again and again: at an interval, or when it is asked to do it soon. */

import { asFleetwireError, type BackoffPolicy, backoffMs, pause } from '@fleetwire/kernel';

export interface RoundsOptions {
  readonly name: string;
  readonly intervalMs: number;
  readonly log: { warn(fields: object, message: string): void };
  /** The first time at once. When it rejects, or resolves false, it is tried again by `retry`. */
  readonly work: (stopping: AbortSignal) => Promise<unknown>;
  /** Default: after the interval. */
  readonly retry?: BackoffPolicy;
  /** Once the last round is over; what fails then is only said. */
  readonly atEnd?: () => Promise<unknown>;
}

export class Rounds {
  readonly name: string;
  readonly #o: RoundsOptions;
  readonly #stopping = new AbortController();
  /** Ends the pause; rung during a round, it leaves the next pause out. */
  #bell = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  /** Why it failed, said once until it works again; empty: it works. */
  #said = '';

  constructor(o: RoundsOptions) {
    this.#o = o;
    this.name = o.name;
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Soon; while a round is under way, once more after it. */
  kick(): void {
    this.#bell.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.kick();
    await this.#loop;
    if (this.#o.atEnd !== undefined) await this.#attempt(this.#o.atEnd);
  }

  async #run(): Promise<void> {
    const { intervalMs, retry } = this.#o;
    for (let tries = 0; !this.#stopping.signal.aborted; ) {
      this.#bell = new AbortController();
      const done = await this.#attempt(this.#o.work);
      await pause(done || retry === undefined ? intervalMs : backoffMs(retry, tries++), this.#bell.signal);
      if (done || this.#bell.signal.aborted) tries = 0;
    }
  }

  /** False: it is not done. */
  async #attempt(work: RoundsOptions['work']): Promise<boolean> {
    try {
      const done = (await work(this.#stopping.signal)) !== false;
      this.#said = '';
      return done;
    } catch (error) {
      const err = asFleetwireError(error);
      if (err.reason !== this.#said) this.#o.log.warn({ err }, `${this.name} will try again`);
      this.#said = err.reason;
      return false;
    }
  }
}
