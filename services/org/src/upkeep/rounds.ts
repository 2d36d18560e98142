/** A component that does the same work again and again, at an interval or when it is asked to do it soon. */

import { asFleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

export interface RoundsOptions {
  readonly name: string;
  readonly intervalMs: number;
  readonly log: Logger;
  /** When it rejects, it is tried again after the interval. */
  readonly work: () => Promise<void>;
}

export class Rounds {
  readonly name: string;
  readonly #o: RoundsOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = true;

  constructor(o: RoundsOptions) {
    this.#o = o;
    this.name = o.name;
  }

  start(): void {
    this.#stopped = false;
    this.kick();
  }

  /** Soon; while a round is under way, once more after it. */
  kick(): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#running = this.#round().finally(() => {
      this.#running = undefined;
      if (this.#stopped) return;
      if (this.#again) {
        this.#again = false;
        this.kick();
      } else this.#timer = setTimeout(() => this.kick(), this.#o.intervalMs);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
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
