/**
 * Nonces that need no memory: the moment of expiry and random bytes, bound to the node by a keyed hash, so that any
 * replica recognizes what another gave out. Layout: 8 bytes expiry (ms, big endian), 16 random, 32 HMAC-SHA-256.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';
import { FleetwireError, type Random } from '@fleetwire/kernel';

const HEAD = 24;
const LENGTH = HEAD + 32;

export function makeNonce(secret: Uint8Array, node: string, expiresAtMs: number, random: Random): Uint8Array {
  const nonce = Buffer.alloc(LENGTH);
  nonce.writeBigUInt64BE(BigInt(expiresAtMs), 0);
  nonce.set(random.bytes(16), 8);
  nonce.set(seal(secret, node, nonce.subarray(0, HEAD)), HEAD);
  return nonce;
}

/** Throws CHALLENGE_INVALID unless the nonce was made for this node with this secret and has not expired. */
export function checkNonce(secret: Uint8Array, node: string, nonce: Uint8Array, nowMs: number): void {
  if (nonce.length !== LENGTH) throw invalid('it is not a nonce of ours');
  const bytes = Buffer.from(nonce.buffer, nonce.byteOffset, nonce.byteLength);
  if (!timingSafeEqual(seal(secret, node, bytes.subarray(0, HEAD)), bytes.subarray(HEAD)))
    throw invalid('it was not given to this node');
  if (Number(bytes.readBigUInt64BE(0)) <= nowMs) throw invalid('it has expired');
}

/**
 * Nonces that were used here, so that a HELLO that somebody has listened to is no good to them. Of more than `max` within
 * their life the oldest are forgotten.
 */
export class UsedNonces {
  readonly #max: number;
  /** The seal, which is different for each, to when it lapses; oldest first. */
  readonly #used = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Throws CHALLENGE_INVALID when it was used already. */
  check(nonce: Uint8Array): void {
    if (this.#used.has(keyOf(nonce))) throw invalid('it was used already');
  }

  /** As `check`, and it is used from now on. Gives what makes it usable again. */
  use(nonce: Uint8Array, nowMs: number): () => void {
    this.check(nonce);
    const key = keyOf(nonce);
    for (const [known, untilMs] of this.#used) {
      if (untilMs > nowMs && this.#used.size < this.#max) break;
      this.#used.delete(known);
    }
    this.#used.set(key, Number(Buffer.from(nonce).readBigUInt64BE(0)));
    return () => void this.#used.delete(key);
  }
}

const keyOf = (nonce: Uint8Array): string => Buffer.from(nonce.subarray(HEAD)).toString('base64');

function seal(secret: Uint8Array, node: string, head: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(`hello:${node}:`).update(head).digest();
}

function invalid(why: string): FleetwireError {
  return new FleetwireError('unauthenticated', 'CHALLENGE_INVALID', `the nonce cannot be used: ${why}`, {
    help: 'Ask for a new challenge and sign that one.',
  });
}
