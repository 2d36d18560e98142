/** How V8 is to treat the memory of messages. */

import { setFlagsFromString } from 'node:v8';

/**
 * Bodies, packs and what sockets read are buffers outside of V8's heap. By default every 32 to 64 MiB of them bring on a
 * marking of the whole heap, however little of it has changed: with bodies of 64 KiB half of a node's CPU time. Counted as
 * part of the heap, most of them go with the young generation, and the old one is marked when the sum has grown in
 * proportion. Can be set while the process runs; a V8 that does not know the flag says so and goes on.
 */
export function countBuffersAsHeap(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
