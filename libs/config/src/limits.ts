/** Defaults of limits that have to agree with the contract; a test holds them together. */

export const LIMIT_DEFAULTS = { rpcMessageBytes: 8 * 1024 * 1024, deadlineMs: 10_000 } as const;
