/** One number by which a node and the registry see whether they know the same agents of that node. */

import { createHash } from 'node:crypto';

const BYTES = 6;

/** The exclusive or of the first 6 bytes (big endian) of the SHA-256 of each id: in any order the same; 0 of none. */
export function rosterDigest(ids: Iterable<string>): number {
  const sum = Buffer.alloc(BYTES);
  for (const id of ids) {
    const digest = createHash('sha256').update(id).digest();
    for (let i = 0; i < BYTES; i++) sum[i]! ^= digest[i]!;
  }
  return sum.readUIntBE(0, BYTES);
}
