/** At start: tries again until a dependency is there, says so in the log, and gives up with a typed error. */

import { asFleetwireError, backoffMs, FleetwireError, pause } from '@fleetwire/kernel';

export interface WaitOptions {
  /** For people, for example PostgreSQL. */
  readonly what: string;
  readonly waitMs: number;
  readonly leaving: AbortSignal;
  readonly help: string;
  /** True for an error that time may cure. */
  worthWaiting(error: FleetwireError): boolean;
  report(line: string, fields: Readonly<Record<string, unknown>>): void;
}

const BACKOFF = { initialMs: 100, maxMs: 2_000 };
/** Between two lines of progress. */
const REPORT_MS = 2_000;

/** The first success of `attempt`. Throws its last error with `help`, or `cancelled` STOPPING when leaving. */
export async function waitFor<T>(attempt: () => Promise<T>, options: WaitOptions): Promise<T> {
  const started = performance.now();
  let reported = Number.NEGATIVE_INFINITY;
  for (let count = 0; ; count++) {
    if (options.leaving.aborted)
      throw new FleetwireError('cancelled', 'STOPPING', `stopped while waiting for ${options.what}`);
    try {
      return await attempt();
    } catch (thrown) {
      const error = asFleetwireError(thrown);
      const waited = performance.now() - started;
      if (!options.worthWaiting(error)) throw error;
      if (waited >= options.waitMs) throw gaveUp(error, options);
      if (performance.now() - reported >= REPORT_MS) {
        reported = performance.now();
        const waited_s = Math.round(waited / 1000);
        options.report(`waiting for ${options.what}`, { reason: error.reason, why: error.message, waited_s });
      }
      await pause(Math.min(backoffMs(BACKOFF, count), options.waitMs - waited), options.leaving);
    }
  }
}

function gaveUp(error: FleetwireError, options: WaitOptions): FleetwireError {
  const seconds = Math.round(options.waitMs / 1000);
  return new FleetwireError(
    error.kind,
    error.reason,
    `${options.what} was not there within ${seconds} s: ${error.message}`,
    { help: options.help, details: error.details, cause: error },
  );
}
