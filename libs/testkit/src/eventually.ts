/** Waiting for something to become true, with a deadline instead of a sleep. */

import { pause } from '@fleetwire/kernel';

export interface EventuallyOptions {
  /** Default 20,000: what takes a moment on an idle machine can take seconds on a busy one. */
  readonly timeoutMs?: number;
  /** Milliseconds between looks. Default 10. */
  readonly everyMs?: number;
}

/** Calls `look` until it neither throws nor gives `false` or `undefined`; then gives its value. Rejects with the last fault. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  o: EventuallyOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const deadline = performance.now() + (o.timeoutMs ?? 20_000);
  for (;;) {
    let fault: unknown = new Error('it never became true');
    try {
      const value = await look();
      if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
    } catch (error) {
      fault = error;
    }
    if (performance.now() >= deadline) throw fault;
    await pause(o.everyMs ?? 10);
  }
}
