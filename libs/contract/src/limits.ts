/** The limits that both sides of a wire must agree on. What only one side needs is in its configuration. */

export const LIMITS = {
  /** Bytes of one message's body. */
  bodyBytes: 1024 * 1024,
  /** Bytes of one published pack: stops a pack from growing, though a single message may be larger. */
  packBytes: 256 * 1024,
  packMessages: 256,
  /** What a reader takes: more than writers of today put in, so that a later one may write more. */
  packMessagesRead: 4096,
  /** What the NATS servers must accept at least; checked at start. */
  serverMaxPayload: 2 * 1024 * 1024,
  addressChars: 256,
  /** Of one agent, or labels of one node. */
  capabilities: 32,
  /** Of one agent or node. */
  tools: 256,
  toolChars: 100,
  modelChars: 100,
  repoChars: 256,
  /** Agents of one node in one roster, members of one channel. */
  rosterAgents: 10_000,
  channelMembers: 10_000,
  contentTypeChars: 128,
  /** Of the nodes of one org: each has two while it changes its credentials, and lost ones may still be counted. */
  orgConnections: 4000,
  /** How many nodes an org may have at most, whatever is configured. */
  orgNodes: 2000,
  /** What may wait for one agent on its node, at most. */
  queueMessages: 100_000,
  queueBytes: 1024 * 1024 * 1024,
  /** A gRPC message in either direction. */
  rpcMessageBytes: 8 * 1024 * 1024,
} as const;
