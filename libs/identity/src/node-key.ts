/** A node's identity: an Ed25519 NKEY pair whose seed never leaves the node's machine. */

import { createUser, fromPublic, fromSeed } from '@nats-io/nkeys';

/** `seed` starts with SU and is the secret; `publicKey` starts with U. */
export function createNodeKey(): { seed: string; publicKey: string } {
  const pair = createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** The public half of a seed; undefined when the text is no seed of a user. */
export function publicNodeKey(seed: string): string | undefined {
  try {
    const publicKey = fromSeed(new TextEncoder().encode(seed)).getPublicKey();
    return isNodePublicKey(publicKey) ? publicKey : undefined;
  } catch {
    return undefined;
  }
}

export function isNodePublicKey(text: string): boolean {
  try {
    return /^U[A-Z2-7]{55}$/.test(text) && fromPublic(text).getPublicKey() === text;
  } catch {
    return false;
  }
}

export function signWithNodeKey(seed: string, bytes: Uint8Array): Uint8Array {
  return fromSeed(new TextEncoder().encode(seed)).sign(bytes);
}

/** False also for a malformed key or signature; never throws. */
export function verifyNodeSignature(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return isNodePublicKey(publicKey) && fromPublic(publicKey).verify(bytes, signature);
  } catch {
    return false;
  }
}
