/** Limits and times of the transport; those that operators may change are options with these defaults. */

import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';

// What it would write to stderr comes as an error all the same.
setLogVerbosity(logVerbosity.NONE);

export const RPC_DEFAULTS = {
  /** Of a single call that sets none. */
  deadlineMs: 10_000,
  /** What a server takes off each deadline, so that the inner time-out, the specific one, is what surfaces. */
  shaveMs: 20,
  /** How long after the shaved deadline a handler may still answer for itself. */
  lateMs: 10,
  keepaliveTimeMs: 20_000,
  keepaliveTimeoutMs: 10_000,
  /** Of one attempt, to the end of the handshakes: a far or busy peer takes its time. */
  connectMs: 10_000,
  reconnectInitialMs: 100,
  reconnectMaxMs: 2_000,
  /** Calls and streams of one connection. */
  concurrentStreams: 4_096,
} as const;

export const BASE_CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': RPC_DEFAULTS.keepaliveTimeMs,
  'grpc.keepalive_timeout_ms': RPC_DEFAULTS.keepaliveTimeoutMs,
} as const;
