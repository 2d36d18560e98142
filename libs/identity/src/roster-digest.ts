/** One number for the agents of a node, by which it and the registry see whether they mean the same ones. */

import { createHash } from 'node:crypto';

const BYTES = 6;

/** The exclusive or of the first 6 bytes (big endian) of the SHA-256 of each id; 0 for none. The order does not matter. */
export function rosterDigest(ids: Iterable<string>): number {
  const digest = Buffer.alloc(BYTES);
  for (const id of ids) {
    const hash = createHash('sha256').update(id).digest();
    for (let i = 0; i < BYTES; i++) digest[i]! ^= hash[i]!;
  }
  return digest.readUIntBE(0, BYTES);
}
