/** The deadline of a call as its handler sees it: a little earlier than the caller's own. */

import type { CallContext } from 'nice-grpc-common';
import { deadlineExceeded } from './errors.ts';
import { RPC_DEFAULTS } from './limits.ts';

/** Metadata in which the deadline interceptor tells the call's absolute deadline; what a client sends by this name is dropped. */
export const DEADLINE_KEY = 'fw-deadline-at';

export interface DeadlineClock {
  readonly leftMs: number | undefined;
  readonly deadlineAt: number | undefined;
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
  const controller = new AbortController();
  const follow = () => controller.abort(call.signal.reason);
  if (call.signal.aborted) follow();
  else call.signal.addEventListener('abort', follow, { once: true });
  let giveUp: NodeJS.Timeout | undefined;
  let rejectLate: (error: unknown) => void = () => undefined;
  const late = single
    ? new Promise<never>((_, reject) => {
        rejectLate = reject;
      })
    : undefined;
  const timer = setTimeout(
    () => {
      const error = deadlineExceeded(name, left);
      controller.abort(error);
      giveUp = setTimeout(rejectLate, Math.min(RPC_DEFAULTS.lateMs, leftMs / 2), error);
    },
    Math.min(leftMs, 2 ** 31 - 1),
  );
  return {
    leftMs,
    deadlineAt: Date.now() + leftMs,
    signal: controller.signal,
    late,
    stop() {
      clearTimeout(timer);
      clearTimeout(giveUp);
      call.signal.removeEventListener('abort', follow);
    },
  };
}
