/** What a handler's own calls inherit from the call it serves: the rest of the deadline and the trace. */

import { AsyncLocalStorage } from 'node:async_hooks';

export interface CallScope {
  /** Milliseconds since the Unix epoch by this machine's clock; undefined: no deadline. */
  readonly deadlineAt: number | undefined;
  readonly traceparent: string;
}

export const callScope = new AsyncLocalStorage<CallScope>();
