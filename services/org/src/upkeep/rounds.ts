/** A component that does the same work again and again, at an interval or when it is asked to do it soon. */

import { asFleetwireError, pause } from '@fleetwire/kernel';

export interface RoundsOptions {
  readonly name: string;
  readonly intervalMs: number;
  readonly log: { warn(fields: object, message: string): void };
  /** When it rejects, it is tried again after the interval. */
  readonly work: () => Promise<void>;
}

export class Rounds {
  readonly name: string;
  readonly #o: RoundsOptions;
  /** Ends the pause; rung during a round, it leaves the next pause out. */
  #bell = new AbortController();
  #stopping = false;
  #loop: Promise<void> = Promise.resolve();

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
    this.#stopping = true;
    this.kick();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#bell = new AbortController();
      await this.#round();
      await pause(this.#o.intervalMs, this.#bell.signal);
    }
  }

  async #round(): Promise<void> {
    try {
      await this.#o.work();
    } catch (error) {
      const { reason, message } = asFleetwireError(error);
      this.#o.log.warn({ reason, message }, `${this.name} will try again`);
    }
  }
}
