/** Waiting by progress: however slow a machine is, it is waited for as long as something moves. */

import { pause } from '@fleetwire/kernel';

export interface Progress {
  /** Any change of it is progress. */
  reading(): number | Promise<number>;
  done(): boolean;
  /** Called every few seconds. */
  report(): void;
  readonly stillMs: number;
}

const LOOK_MS = 200;
const REPORT_MS = 5000;

/** Resolves when it is done, or when nothing has moved for `stillMs`: what is missing then, the reconciliation shows. */
export async function untilDone(o: Progress): Promise<void> {
  let last = await o.reading();
  let movedMs = performance.now();
  let reportedMs = movedMs;
  while (!o.done() && performance.now() - movedMs < o.stillMs) {
    await pause(LOOK_MS);
    const now = await o.reading();
    if (now !== last) movedMs = performance.now();
    last = now;
    if (performance.now() - reportedMs < REPORT_MS) continue;
    reportedMs = performance.now();
    o.report();
  }
}
