/** Bounds of the MCP server; each is fixed, so that it never holds or waits for more than these. */

const MiB = 1024 * 1024;

export const MCP_LIMITS = {
  /** Messages of one answer of the inbox tool, by default and at most. */
  inboxDefault: 10,
  inboxMax: 50,
  /** Seconds that inbox and send may wait: many clients give up after 60. */
  waitMaxS: 55,
  /** Seconds that ask waits, by default and at most. */
  askDefaultS: 45,
  askMaxS: 600,
  /** Rows of who and channels. */
  rowsMax: 200,
  /** What is in an answer that is being written is held from other readers: so long, renewed so often, up to this in all. */
  holdMs: 5_000,
  renewMs: 2_000,
  showMs: 60_000,
  /** One call to the node that waits for mail; longer waits are made of several. */
  pollMs: 20_000,
  progressMs: 5_000,
  /** For the answer of the node to a call that waits for nothing, and on top of those that wait. */
  callMs: 10_000,
  /** Messages that were written to the client and that the node could not yet be told of. */
  unconfirmed: 10_000,
  /** Ids of one call that confirms or holds. */
  idsOfCall: 500,
  /** Messages of which the client is still to be told that they were taken back, or confirmed too late. */
  news: 100,
  backoff: { initialMs: 200, maxMs: 5_000 },
  /** At the end: how long it may take to tell the node of what was read. */
  closeMs: 2_000,
  /** One request over HTTP: a text of 1 MiB in which JSON escapes every character. */
  bodyBytes: 8 * MiB,
  sessions: 256,
  sessionsOfAgent: 16,
  agents: 256,
  connections: 1024,
  /** A session of which nothing was heard for so long ends. */
  sessionIdleMs: 3_600_000,
  requestMs: 30_000,
  /** A connection on which nothing is heard is probed after so long. */
  probeMs: 60_000,
} as const;
