/** Ends a client's call from this side: by its deadline, by its caller, or because it is over. */

import { FleetwireError } from '@fleetwire/kernel';
import { type Channel, connectivityState } from '@grpc/grpc-js';
import { deadlineExceeded, peerUnreachable } from './errors.ts';

export interface Peer {
  readonly name: string;
  readonly address: string;
  readonly channel: Channel;
}

export interface Cancellation {
  readonly signal: AbortSignal;
  /** Why this call was ended from this side; undefined when it was not. */
  why(): FleetwireError | undefined;
  stop(): void;
  /** Stops, and aborts what still waits, such as the iterable of requests. */
  finish(): void;
}

/** `until`: milliseconds since the Unix epoch, or infinity. */
export function cancellation(
  port: Peer,
  method: string,
  outer: AbortSignal | undefined,
  until: number,
): Cancellation {
  const controller = new AbortController();
  let why: FleetwireError | undefined;
  const end = (error: FleetwireError) => {
    why ??= error;
    controller.abort(error);
  };
  const budget = until - Date.now();
  const onAbort = () =>
    end(new FleetwireError('cancelled', 'CANCELLED', `${method} was cancelled`, { cause: outer?.reason }));
  const onDeadline = () => end(lateError(port, method, budget));
  if (outer?.aborted) onAbort();
  outer?.addEventListener('abort', onAbort, { once: true });
  let timer: NodeJS.Timeout | undefined;
  if (budget <= 0) onDeadline();
  else if (budget < 2 ** 31) timer = setTimeout(onDeadline, budget);
  const stop = () => {
    clearTimeout(timer);
    outer?.removeEventListener('abort', onAbort);
  };
  return {
    signal: controller.signal,
    why: () => why,
    stop,
    finish() {
      stop();
      controller.abort();
    },
  };
}

/** A deadline that passed without a connection says more about the peer than about the call. */
function lateError(port: Peer, method: string, budget: number): FleetwireError {
  if (budget <= 0 || port.channel.getConnectivityState(false) === connectivityState.READY)
    return deadlineExceeded(method, Math.max(0, budget));
  return peerUnreachable(port.name, port.address, `no connection within ${Math.round(budget)} ms`);
}
