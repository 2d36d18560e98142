/** Waiting between tries: doubling, capped, with jitter, so that many callers do not return at the same moment. */

import type { Random } from './ports.ts';
import { systemRandom } from './ports.ts';

export interface BackoffPolicy {
  /** Milliseconds before the second try. */
  readonly initialMs: number;
  readonly maxMs: number;
}

/** The delay in milliseconds before try `attempt` + 1, attempts counted from 0; between half and all of the doubled value. */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: Random = systemRandom): number {
  const full = Math.min(policy.maxMs, policy.initialMs * 2 ** Math.min(attempt, 30));
  return Math.round(full / 2 + (full / 2) * random.fraction());
}

/** Resolves after `ms`, or at once when `signal` aborts; never rejects. It keeps the process alive: somebody waits. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Rests `ms`, then does `work`, again and again until `signal` aborts; rejects with what `work` rejects with. */
export async function repeatEvery(ms: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  for (;;) {
    await pause(ms, signal);
    if (signal.aborted) return;
    await work();
  }
}
