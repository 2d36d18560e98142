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

/** Whole milliseconds since the Unix epoch. */
export const nowMs = (clock: Clock): number => Math.floor(clock.nowUs() / 1000);

export const systemClock: Clock = {
  nowUs: () => Math.round((performance.timeOrigin + performance.now()) * 1000),
  monotonicMs: () => performance.now(),
};

/** Fetched from the system at once: a call of its own for each id would cost more than the rest of a message. */
const POOL_BYTES = 4096;
let pool = new Uint8Array(0);
let used = 0;

function randomBytes(length: number): Uint8Array {
  if (length > POOL_BYTES) return globalThis.crypto.getRandomValues(new Uint8Array(length));
  if (used + length > pool.length) {
    pool = globalThis.crypto.getRandomValues(new Uint8Array(POOL_BYTES));
    used = 0;
  }
  // A copy, and no trace of it left behind: bytes may become a secret.
  const bytes = pool.slice(used, used + length);
  pool.fill(0, used, used + length);
  used += length;
  return bytes;
}

export const systemRandom: Random = {
  bytes: randomBytes,
  fraction: () => Math.random(),
};
