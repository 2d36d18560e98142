/** Bounds of one agent's client; each is fixed, so that a client never holds more than these. */

export const SDK_LIMITS = {
  /** Sent messages that are not yet accepted; `send` waits for room beyond. */
  pendingMessages: 1024,
  pendingBytes: 16 * 1024 * 1024,
  /** Calls that wait for that room; one more is refused with SEND_BUFFER_FULL. */
  waitingSends: 16_384,
  /** Messages of one frame, unless a single one is larger than its bytes. */
  frameMessages: 64,
  frameBytes: 256 * 1024,
  /** Deliveries that may be unacknowledged, by default and at most. */
  windowDefault: 256,
  windowMax: 4096,
  /** Receipts that wait to be read; then the oldest are dropped and counted. */
  receipts: 16_384,
  /** Questions that wait for an answer. */
  asks: 4096,
  askMs: 60_000,
  /** How long `connect` tries to reach the node. */
  connectMs: 10_000,
  /** How long `close` waits for what was sent to be accepted. */
  closeMs: 5_000,
  reconnect: { initialMs: 50, maxMs: 2_000 },
  /** Refusals in a row, after a first success, that end the client. */
  refusals: 5,
} as const;
