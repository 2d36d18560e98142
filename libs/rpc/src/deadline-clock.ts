/** The deadline of a call as its handler sees it: a little earlier than the caller's own. */

import type { FleetwireError } from '@fleetwire/kernel';
import type { CallContext } from 'nice-grpc-common';
import { deadlineExceeded } from './errors.ts';
import { RPC_DEFAULTS } from './limits.ts';

/** Metadata in which the deadline interceptor tells the call's absolute deadline; what a client sends by this name is dropped. */
export const DEADLINE_KEY = 'fw-deadline-at';

export interface DeadlineClock {
  readonly leftMs: number | undefined;
  readonly deadlineAt: number | undefined;
  /** Made when it is asked for. */
  readonly signal: AbortSignal;
  readonly late: Promise<never> | undefined;
  stop(): void;
}

/** `single`: the call has one answer, so that `late` can be raced with it. */
export function deadlineClock(name: string, call: CallContext, single: boolean): DeadlineClock {
  const told = Number(call.metadata.get(DEADLINE_KEY) ?? Number.NaN);
  if (!Number.isFinite(told))
    return {
      leftMs: undefined,
      deadlineAt: undefined,
      signal: call.signal,
      late: undefined,
      stop: () => undefined,
    };
  const left = Math.max(0, told - Date.now());
  const leftMs = left - Math.min(RPC_DEFAULTS.shaveMs, left / 2);
  let controller: AbortController | undefined;
  let ended: FleetwireError | undefined;
  const follow = () => controller?.abort(call.signal.reason);
  // Most handlers never look at the signal.
  const signal = (): AbortSignal => {
    if (controller !== undefined) return controller.signal;
    controller = new AbortController();
    if (ended !== undefined) controller.abort(ended);
    else if (call.signal.aborted) follow();
    else call.signal.addEventListener('abort', follow, { once: true });
    return controller.signal;
  };
  let giveUp: NodeJS.Timeout | undefined;
  let rejectLate: (error: unknown) => void = () => undefined;
  const late = single
    ? new Promise<never>((_, reject) => {
        rejectLate = reject;
      })
    : undefined;
  const timer = setTimeout(
    () => {
      ended = deadlineExceeded(name, left);
      controller?.abort(ended);
      giveUp = setTimeout(rejectLate, Math.min(RPC_DEFAULTS.lateMs, leftMs / 2), ended);
    },
    Math.min(leftMs, 2 ** 31 - 1),
  );
  return {
    leftMs,
    deadlineAt: Date.now() + leftMs,
    get signal() {
      return signal();
    },
    late,
    stop() {
      clearTimeout(timer);
      clearTimeout(giveUp);
      if (controller !== undefined) call.signal.removeEventListener('abort', follow);
    },
  };
}
