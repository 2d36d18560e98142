/** Keeping a service of this process alive: a service that gives up is started again, as an orchestrator would. */

import { asFleetwireError, type BackoffPolicy, backoffMs, pause } from '@fleetwire/kernel';
import type { RunningService } from '@fleetwire/runtime';

export interface KeptService {
  readonly name: string;
  readonly address: string;
  /** Ends it for good; a fault while ending is reported, not thrown. */
  stop(): Promise<void>;
}

const BACKOFF: BackoffPolicy = { initialMs: 200, maxMs: 10_000 };
/** A service that lived this long starts the waiting anew. */
const HEALTHY_MS = 30_000;

/** Rejects when the first start fails; `start` must use the same address and folders each time. */
export async function keepService(
  start: () => Promise<RunningService>,
  report: (line: string) => void,
  backoff: BackoffPolicy = BACKOFF,
): Promise<KeptService> {
  const ending = new AbortController();
  let running: RunningService | undefined = await start();
  const { name, address } = running;
  let attempt = 0;

  async function again(): Promise<RunningService | undefined> {
    while (!ending.signal.aborted) {
      await pause(backoffMs(backoff, attempt++), ending.signal);
      if (ending.signal.aborted) return undefined;
      try {
        return await start();
      } catch (error) {
        report(`${name} does not start: ${asFleetwireError(error).message}`);
      }
    }
    return undefined;
  }

  async function keep(): Promise<void> {
    for (let current: RunningService | undefined = running; current !== undefined; current = running) {
      const since = performance.now();
      const fault = await current.stopped.then(
        () => undefined,
        (error: unknown) => asFleetwireError(error),
      );
      if (ending.signal.aborted) return;
      if (performance.now() - since >= HEALTHY_MS) attempt = 0;
      report(`${name} has ended (${fault?.message ?? 'without a fault'}); starting it again`);
      running = undefined;
      running = await again();
      if (ending.signal.aborted) return;
      report(`${name} is back`);
    }
  }

  const kept = keep();
  return {
    name,
    address,
    stop: async () => {
      const before = running;
      ending.abort();
      await stopQuietly(before, report);
      await kept;
      if (running !== before) await stopQuietly(running, report);
    },
  };
}

async function stopQuietly(
  service: RunningService | undefined,
  report: (line: string) => void,
): Promise<void> {
  await service?.stop().catch((error: unknown) => {
    report(`${service.name} did not end in good order: ${asFleetwireError(error).message}`);
  });
}
