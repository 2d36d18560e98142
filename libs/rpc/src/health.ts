/** The standard health service (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */

import { FleetwireError } from '@fleetwire/kernel';
import { HealthDefinition } from 'nice-grpc-server-health';
import { type BoundService, bindService } from './bind.ts';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

export interface Health {
  readonly service: BoundService;
  set(name: string, serving: boolean): void;
}

/** Names that were never set are unknown; the empty name stands for the whole process. */
export function createHealth(): Health {
  const states = new Map<string, boolean>();
  const watchers = new Set<() => void>();
  const statusOf = (name: string) => {
    const state = states.get(name);
    return state === undefined ? SERVICE_UNKNOWN : state ? SERVING : NOT_SERVING;
  };
  const service = bindService(
    HealthDefinition,
    {
      async check(request) {
        const status = statusOf(request.service);
        if (status === SERVICE_UNKNOWN)
          throw new FleetwireError('not_found', 'UNKNOWN_SERVICE', `no service "${request.service}" here`);
        return { status };
      },
      async *watch(request, context) {
        let told: number | undefined;
        while (!context.signal.aborted) {
          const status = statusOf(request.service);
          if (status !== told) yield { status };
          told = status;
          // The last state has been told: a closing server does not wait for watchers.
          if (context.draining.aborted) return;
          await change(watchers, [context.signal, context.draining]);
        }
      },
    },
    { auth: 'none' },
  );
  return {
    service,
    set(name, serving) {
      states.set(name, serving);
      for (const wake of watchers) wake();
    },
  };
}

function change(watchers: Set<() => void>, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      watchers.delete(wake);
      for (const signal of signals) signal.removeEventListener('abort', wake);
      resolve();
    };
    watchers.add(wake);
    for (const signal of signals) signal.addEventListener('abort', wake, { once: true });
    if (signals.some((signal) => signal.aborted)) wake();
  });
}
