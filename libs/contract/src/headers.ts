/** Header and metadata names, on NATS and gRPC alike. */

export const HEADERS = {
  /** JetStream's dedupe id. */
  msgId: 'Nats-Msg-Id',
  /** W3C Trace Context, https://www.w3.org/TR/trace-context/. */
  traceparent: 'traceparent',
  correlationId: 'fw-correlation-id',
  /** Version of the payload's schema. */
  version: 'fw-version',
} as const;

export const SCHEMA_VERSION = '1';
/** What nodes and hubs say to each other in HELLO. */
export const PROTOCOL_VERSION = '1';
