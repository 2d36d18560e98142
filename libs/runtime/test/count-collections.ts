/** A program that passes buffers of 64 KiB on, as services do with packs, and prints how often the whole heap was marked. */

import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { countBuffersAsHeap } from '../src/collector.ts';

const BUFFERS = 20_000;
const BYTES = 65_536;
const HELD = 200;

if (process.argv[2] === 'tuned') countBuffersAsHeap();
let marked = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries() as (PerformanceEntry & { detail: { kind: number } })[])
    if (entry.detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) marked++;
}).observe({ entryTypes: ['gc'] });
const heap = Array.from({ length: 600_000 }, (_, i) => ({ i }));
const held: Buffer[] = [];
for (let i = 0; i < BUFFERS; i++) {
  held[i % HELD] = Buffer.allocUnsafe(BYTES);
  if (i % 100 === 0) await turn();
}
await turn();
// Both are used to the end, so that neither goes before.
console.log(heap.length + held.length > 0 ? marked : 0);
