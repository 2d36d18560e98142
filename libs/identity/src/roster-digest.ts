/** What a node and the registry compare to know whether they have the same agents of that node. */

import { createHash } from 'node:crypto';

const BYTES = 6;

/** The exclusive or of the first 6 bytes (big endian) of the SHA-256 of each id, whatever their order; of none 0. */
export function rosterDigest(ids: Iterable<string>): number {
  const digest = Buffer.alloc(BYTES);
  for (const id of ids) {
    const hash = createHash('sha256').update(id).digest();
    for (let i = 0; i < BYTES; i++) digest[i]! ^= hash[i]!;
  }
  return digest.readUIntBE(0, BYTES);
}
