/** How V8 is to treat the memory of messages. */

import { setFlagsFromString } from 'node:v8';

/** What it takes to count buffers as heap; with the first alone they may grow to four times what is held of them. */
const FLAGS = ['--external-memory-accounted-in-global-limit', '--heap-growing-percent=100'] as const;
/** The first Node.js whose V8 knows the first of them. */
const SINCE_NODE = 24;

/** The same for the command line of another process, which would not start with what it does not know. */
export const COLLECTOR_FLAGS: readonly string[] =
  Number.parseInt(process.versions.node, 10) >= SINCE_NODE ? FLAGS : [];

/**
 * Bodies, packs and what sockets read are buffers outside of V8's heap. By default every 32 to 64 MiB of them bring on a
 * marking of the whole heap, however little of it has changed: with bodies of 64 KiB half of a node's CPU time. Counted as
 * part of the heap, most of them go with the young generation, and the old one is marked when the sum has doubled. Can be
 * set while the process runs. Before Node.js 24 it does nothing.
 */
export function countBuffersAsHeap(): void {
  for (const flag of COLLECTOR_FLAGS) setFlagsFromString(flag);
}
