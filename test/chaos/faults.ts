/** Carries a schedule out on running processes, and brings all of them back at the end. */

import { pause } from '@fleetwire/kernel';
import type { Part } from '../fabric/separate-processes.ts';
import { describeStep, type Fault, type Step } from './schedule.ts';

export interface Faults {
  /** How often one of them was hit so far, by kind. */
  readonly counts: Readonly<Record<Fault, number>>;
  /** Rejects when one does not come back. */
  readonly failed: Promise<never>;
  /** No further step; resolves when every one is there again. */
  end(): Promise<void>;
}

/**
 * On a machine that is slower than the plan a step waits for its routers to be back, and all that follows is as much later:
 * the steps stay the same, and so does the time between them.
 */
export function startFaults(
  parts: readonly Part[],
  steps: Iterator<Step, never>,
  report: (line: string) => void,
): Faults {
  const names = parts.map(({ name }) => name);
  const counts: Record<Fault, number> = { kill: 0, pause: 0, stop: 0 };
  const ending = new AbortController();
  const busy = new Map<number, Promise<void>>();
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const run = async () => {
    for (let beganMs = performance.now(); ; ) {
      const step = steps.next().value;
      await pause(Math.max(0, beganMs + step.atMs - performance.now()), ending.signal);
      await Promise.all(step.routers.map((router) => busy.get(router) ?? Promise.resolve()));
      if (ending.signal.aborted) return;
      beganMs = Math.max(beganMs, performance.now() - step.atMs);
      report(describeStep(step, names));
      for (const router of step.routers) {
        counts[step.fault]++;
        const hit = FAULTS[step.fault](parts[router]!, step.forMs, ending.signal);
        busy.set(router, hit.catch(fail));
      }
    }
  };
  const running = run();
  return {
    counts,
    failed,
    end: async () => {
      ending.abort();
      await running;
      await Promise.all(busy.values());
    },
  };
}

type Carry = (router: Part, forMs: number, ending: AbortSignal) => Promise<void>;

const FAULTS: Readonly<Record<Fault, Carry>> = {
  async kill(router, forMs, ending) {
    await router.kill();
    await pause(forMs, ending);
    await router.start();
  },
  async pause(router, forMs, ending) {
    process.kill(router.pid(), 'SIGSTOP');
    await pause(forMs, ending);
    process.kill(router.pid(), 'SIGCONT');
  },
  async stop(router, forMs, ending) {
    await router.stop();
    await pause(forMs, ending);
    await router.start();
  },
};
