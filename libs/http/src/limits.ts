/** Limits and times of the listener; those that operators may change are options of the server. */

export const HTTP_DEFAULTS = {
  /** All header lines of a request together. */
  headerBytesMax: 16_384,
  /** One variable part of a path. */
  paramCharsMax: 256,
  /** Fields of a form. */
  formFieldsMax: 64,
  /** How long a connection on which nothing happens is kept. */
  keepAliveMs: 30_000,
  /** How long the header of a request may take, where the whole request may take longer. */
  headersMs: 10_000,
  /** When to come back to a server that ends: another replica, or the next start, answers then. */
  stoppingRetryMs: 1_000,
} as const;
