/** Several bodies of one length as one publish: the least that packing can cost. */

import { LIMITS } from '@fleetwire/contract';

const LENGTH_BYTES = 4;

/** Gathers what comes within one turn of the event loop, as far as a node's packs go, and gives it away as one. */
export function packer(publish: (pack: Uint8Array) => void): (body: Uint8Array) => void {
  let bodies: Uint8Array[] = [];
  let bytes = 0;
  const flush = () => {
    if (bodies.length === 0) return;
    const head = Buffer.alloc(LENGTH_BYTES);
    head.writeUInt32BE(bodies[0]!.length);
    publish(Buffer.concat([head, ...bodies]));
    bodies = [];
    bytes = 0;
  };
  return (body) => {
    if (bodies.length === 0) setImmediate(flush);
    bodies.push(body);
    bytes += body.length;
    if (bodies.length >= LIMITS.packMessages || bytes >= LIMITS.packBytes) flush();
  };
}

export function* unpacked(pack: Uint8Array): Iterable<Uint8Array> {
  const length = new DataView(pack.buffer, pack.byteOffset, LENGTH_BYTES).getUint32(0);
  for (let at = LENGTH_BYTES; at < pack.length; at += length) yield pack.subarray(at, at + length);
}
