/**
 * A program that passes buffers of 64 KiB on, as services do with packs, and counts how often the whole heap was marked; then
 * holds many of them for a while, as queues do, and looks at the most memory that it had.
 */

import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { countBuffersAsHeap } from '../src/collector.ts';

const BUFFERS = 20_000;
/** Far more than may be there at any time. */
const BUFFERS_HELD = 60_000;
const BYTES = 65_536;
const PASSING = 200;
const HOLDING = 4096;
const MB = 2 ** 20;

if (process.argv[2] === 'tuned') countBuffersAsHeap();
let marked = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries() as (PerformanceEntry & { detail: { kind: number } })[])
    if (entry.detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) marked++;
}).observe({ entryTypes: ['gc'] });
const heap = Array.from({ length: 600_000 }, (_, i) => ({ i }));
const held: Buffer[] = [];
let most = 0;

async function keep(count: number, buffers: number): Promise<void> {
  for (let i = 0; i < buffers; i++) {
    held[i % count] = Buffer.alloc(BYTES, 1);
    if (i % 100 !== 0) continue;
    await turn();
    most = Math.max(most, process.memoryUsage.rss());
  }
  await turn();
}

await keep(PASSING, BUFFERS);
const passing = marked;
await keep(HOLDING, BUFFERS_HELD);
// The heap is used to the end, so that it does not go before.
console.log(JSON.stringify({ passing: heap.length > 0 ? passing : 0, holding_mb: Math.round(most / MB) }));
