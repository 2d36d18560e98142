/** What is refused to those who have no token yet: counted by reason, and said once a minute for each. */

import { asFleetwireError, type Clock } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';

export interface RefusalsOptions {
  /** What was asked for, for people. */
  readonly what: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Pick<Logger, 'warn'>;
}

interface Counted {
  times: number;
  saidAtMs: number;
}

const SAY_AGAIN_MS = 60_000;
/** Reasons are written down in the code: more than these are a fault of ours. */
const REASONS_MAX = 50;
const REST = 'OTHER';

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #counted = new Map<string, Counted>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** As `work`; `fields` are for the log, and hold nothing secret. */
  async counting<T>(fields: Readonly<Record<string, string>>, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.#count(error, fields);
      throw error;
    }
  }

  /** How often for each reason, since the start. */
  get figures(): Record<string, number> {
    return Object.fromEntries([...this.#counted].map(([reason, { times }]) => [reason, times]));
  }

  #count(error: unknown, fields: Readonly<Record<string, string>>): void {
    const { clock, log, what } = this.#options;
    const { reason: its, message } = asFleetwireError(error);
    const reason = this.#counted.has(its) || this.#counted.size < REASONS_MAX ? its : REST;
    const counted = this.#counted.get(reason) ?? { times: 0, saidAtMs: Number.NEGATIVE_INFINITY };
    this.#counted.set(reason, counted);
    counted.times++;
    const now = clock.monotonicMs();
    if (now - counted.saidAtMs < SAY_AGAIN_MS) return;
    counted.saidAtMs = now;
    log.warn({ ...fields, reason, why: message, times: counted.times }, `${what} was refused`);
  }
}
