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

/** Nonces that one node has used and that have not lapsed; beyond these it is as if the older ones were used. */
const USED_MAX = 64;

/**
 * What is to be noted of a node once it has used this nonce too, so that a HELLO that somebody has listened to is no good to
 * them at any replica. Throws CHALLENGE_INVALID when it was used already.
 */
export function useNonce(used: readonly string[], nonce: Uint8Array, nowMs: number): string[] {
  const key = Buffer.from(nonce.subarray(0, HEAD)).toString('hex');
  const full = used.length >= USED_MAX;
  // They begin with when they lapse: in the order of the texts.
  if (used.includes(key) || (full && key < used[0]!)) throw invalid('it was used already');
  const lapsed = nowMs.toString(16).padStart(16, '0');
  return [...used.filter((one) => one.slice(0, 16) > lapsed), key].sort().slice(-USED_MAX);
}

function seal(secret: Uint8Array, node: string, head: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(`hello:${node}:`).update(head).digest();
}

function invalid(why: string): FleetwireError {
  return new FleetwireError('unauthenticated', 'CHALLENGE_INVALID', `the nonce cannot be used: ${why}`, {
    help: 'Ask for a new challenge and sign that one.',
  });
}
