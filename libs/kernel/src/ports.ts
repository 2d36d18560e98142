/** The clock and the source of randomness as ports, so that domain code stays pure and tests decide both. */

export interface Clock {
  /** Microseconds since the Unix epoch. In a process that talks to the broker: in the broker's time. */
  nowUs(): number;
  /** Milliseconds that only ever grow, for measuring how long something took. */
  monotonicMs(): number;
}

export interface Random {
  /** `length` fresh random bytes, fit for identifiers and secrets. */
  bytes(length: number): Uint8Array;
  /** In [0, 1), for jitter. */
  fraction(): number;
}

export const systemClock: Clock = {
  nowUs: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
  monotonicMs: () => performance.now(),
};

export const systemRandom: Random = {
  bytes: (length) => globalThis.crypto.getRandomValues(new Uint8Array(length)),
  fraction: () => Math.random(),
};
