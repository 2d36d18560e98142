/** Header and metadata names, on NATS and gRPC alike. */

export const HEADERS = {
  /** JetStream's dedupe id. */
  msgId: 'Nats-Msg-Id',
  /** W3C Trace Context, https://www.w3.org/TR/trace-context/. */
  traceparent: 'traceparent',
  correlationId: 'fw-correlation-id',
} as const;

/** What nodes and hubs say to each other in HELLO, docs/protocol.md: the newest, and all that are spoken. */
export const PROTOCOL_VERSION = 2;
export const PROTOCOL_VERSIONS: readonly number[] = [2, 1];
