/** Leases: who may do something that only one may do, with an epoch that only grows and a holder that fences itself. */

import { randomBytes } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import type { Bucket } from './bucket.ts';

export interface Lease {
  readonly key: string;
  /** The bucket's revision at the acquisition: greater than that of every lease acquired before, of any key. */
  readonly epoch: number;
  /** False safely before anybody else can acquire the lease. Ask right before each step that only the holder may take. */
  valid(): boolean;
  /** Aborts as soon as `valid` is false, or somebody else is known to hold it. */
  readonly lost: AbortSignal;
  /** Gives it up: the next one need not wait for the TTL. Never rejects. */
  release(): Promise<void>;
}

export interface LeaseClaims {
  /** Undefined when somebody else holds it; rejects when the broker is away. */
  acquire(key: string): Promise<Lease | undefined>;
  /** Who holds it at the moment. */
  holderOf(key: string): Promise<string | undefined>;
}

export interface LeaseOptions {
  /** Default: the bucket's TTL. */
  readonly ttlMs?: number | undefined;
  /** So long before the TTL ends the holder no longer trusts its lease. Default a fifth of the TTL. */
  readonly marginMs?: number | undefined;
}

interface Claim {
  readonly holder: string;
  /** Tells one acquisition from another of the same holder. */
  readonly nonce: string;
}

/** The bucket's TTL is what frees a lease whose holder has gone: leases of another length are not possible. */
export function claimLease(bucket: Bucket, holder: string, o: LeaseOptions = {}): LeaseClaims {
  const ttlMs = o.ttlMs ?? bucket.spec.ttl_ms;
  const marginMs = o.marginMs ?? ttlMs / 5;
  if (!(ttlMs > 0) || ttlMs > bucket.spec.ttl_ms || !(marginMs < ttlMs / 2))
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_LEASE',
      "a lease needs a TTL up to the bucket's, and a small margin",
    );
  return {
    async acquire(key) {
      const nonce = randomBytes(8).toString('hex');
      const claim = Buffer.from(JSON.stringify({ holder, nonce } satisfies Claim));
      const started = now();
      const epoch = await createOwn(bucket, key, claim, nonce);
      return epoch === undefined
        ? undefined
        : new HeldLease(bucket, key, claim, nonce, epoch, started, ttlMs, marginMs);
    },
    async holderOf(key) {
      const entry = await bucket.get(key);
      return entry === undefined ? undefined : readClaim(entry.value)?.holder;
    },
  };
}

/** The revision, or undefined when it is somebody else's. A write in doubt is looked up. */
async function createOwn(
  bucket: Bucket,
  key: string,
  claim: Uint8Array,
  nonce: string,
): Promise<number | undefined> {
  try {
    return await bucket.create(key, claim);
  } catch (error) {
    if (reasonOf(error) === 'KEY_EXISTS') return undefined;
    if (reasonOf(error) !== 'PUBLISH_IN_DOUBT') throw error;
    const entry = await bucket.get(key);
    return entry !== undefined && readClaim(entry.value)?.nonce === nonce ? entry.revision : undefined;
  }
}

interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** Both clocks: the monotonic one stands still while a machine sleeps, the other one may be set. */
function now(): Instant {
  return { monotonicMs: performance.now(), wallMs: Date.now() };
}

class HeldLease implements Lease {
  readonly key: string;
  readonly epoch: number;
  readonly #bucket: Bucket;
  readonly #claim: Uint8Array;
  readonly #nonce: string;
  readonly #trustMs: number;
  readonly #renewMs: number;
  readonly #lost = new AbortController();
  #revision: number;
  /** When the write that the broker last acknowledged was begun. */
  #renewed: Instant;
  #renewing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #fence: NodeJS.Timeout | undefined;

  constructor(
    bucket: Bucket,
    key: string,
    claim: Uint8Array,
    nonce: string,
    epoch: number,
    started: Instant,
    ttlMs: number,
    marginMs: number,
  ) {
    this.#bucket = bucket;
    this.key = key;
    this.#claim = claim;
    this.#nonce = nonce;
    this.epoch = epoch;
    this.#revision = epoch;
    this.#renewed = started;
    this.#trustMs = ttlMs - marginMs;
    this.#renewMs = ttlMs / 3;
    this.#schedule(this.#renewMs);
    this.#guard();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  valid(): boolean {
    if (this.#lost.signal.aborted) return false;
    if (this.#ageMs() < this.#trustMs) return true;
    this.#lose('it could not be renewed in time');
    return false;
  }

  async release(): Promise<void> {
    this.#lose('it was released');
    await this.#renewing;
    await this.#bucket.delete(this.key, this.#revision).catch(() => undefined); // it lapses by itself
  }

  #ageMs(): number {
    const { monotonicMs, wallMs } = now();
    return Math.max(monotonicMs - this.#renewed.monotonicMs, wallMs - this.#renewed.wallMs);
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew().finally(() => {
        this.#renewing = undefined;
      });
    }, ms).unref();
  }

  /** Tells of the loss at the moment when it happens, whether somebody asks or not. */
  #guard(): void {
    clearTimeout(this.#fence);
    this.#fence = setTimeout(
      () => {
        if (this.valid()) this.#guard();
      },
      Math.max(1, this.#trustMs - this.#ageMs() + 1),
    ).unref();
  }

  async #renew(): Promise<void> {
    const started = now();
    let next = this.#renewMs;
    try {
      const timeoutMs = this.#renewMs;
      this.#took(await this.#bucket.update(this.key, this.#claim, this.#revision, { timeoutMs }), started);
    } catch (error) {
      if (await this.#isGone(error)) return this.#lose('somebody else holds it');
      next = this.#renewMs / 4;
    }
    if (this.valid()) this.#schedule(next);
  }

  #took(revision: number, started: Instant): void {
    this.#revision = revision;
    this.#renewed = started;
    if (!this.#lost.signal.aborted) this.#guard();
  }

  /**
   * A renewal in doubt may have been stored after all: then the entry is ours, at another revision, which the next
   * renewal goes by. When that one was begun is not known for sure, so the lease is not trusted any longer for it.
   */
  async #isGone(error: unknown): Promise<boolean> {
    const reason = reasonOf(error);
    if (reason !== 'REVISION_CONFLICT' && reason !== 'PUBLISH_IN_DOUBT') return false;
    try {
      const entry = await this.#bucket.get(this.key);
      if (entry === undefined) return true;
      if (readClaim(entry.value)?.nonce !== this.#nonce) return true;
      if (entry.revision > this.#revision) this.#revision = entry.revision;
      return false;
    } catch {
      return false;
    }
  }

  #lose(why: string): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#fence);
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(new FleetwireError('aborted', 'LEASE_LOST', `the lease ${this.key} is lost: ${why}`));
  }
}

function readClaim(value: Uint8Array): Claim | undefined {
  try {
    return JSON.parse(Buffer.from(value).toString('utf8')) as Claim;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof FleetwireError ? error.reason : '';
}
