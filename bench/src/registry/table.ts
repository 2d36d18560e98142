/** The routing table: what it takes, how soon it shows a change, and how long it takes to be made anew. */

import { readFileSync } from 'node:fs';
import { connectBroker } from '@fleetwire/broker';
import { ROUTES_BUCKET } from '@fleetwire/contract';
import { eventually } from '@fleetwire/testkit';
import { median, percentile, round } from '../percentiles.ts';
import type { TaskProcess } from '../task-process.ts';
import type { RegistryFabric } from './fabric.ts';
import type { Joined } from './fill.ts';

const STREAM = `KV_${ROUTES_BUCKET.name}`;
const CHANGES_PER_S = 20;
const COMPLETE_MS = 120_000;
const REBUILD_MS = 600_000;

/** By a process that has nothing but the table. */
export async function readTable(fabric: RegistryFabric, agents: number, table: TaskProcess) {
  const { natsUrl, creds } = fabric;
  const read = await table.run<{ agents: number; seconds: number; heap: number; rss: number }>('load', {
    natsUrl,
    creds,
  });
  await eventually(async () => (await table.run<{ agents: number }>('size')).agents >= agents, {
    timeoutMs: COMPLETE_MS,
    everyMs: 200,
  });
  return {
    router_bytes_per_agent: round(read.heap / read.agents),
    table_process_mb: round(read.rss / 1e6, 1),
    table_load_s: round(read.seconds, 2),
  };
}

/** Registers and renames, and waits each time until our table and the router have it. */
export async function followChanges(
  fabric: RegistryFabric,
  count: number,
  table: TaskProcess,
  joined: Joined,
) {
  const found = await table.run<{ table_ms: number[]; router_ms: number[]; renames: boolean }>('changes', {
    count,
    perSecond: CHANGES_PER_S,
    org: joined.org,
    registry: fabric.registries[0].address,
    nodeToken: joined.token,
    router: fabric.routers[1].address,
    token: await fabric.token(),
  });
  const p99 = [percentile(found.table_ms, 0.99), percentile(found.router_ms, 0.99)] as const;
  return {
    route_change_to_router_p99_ms: round(Math.max(...p99), 3),
    route_change_table_p50_ms: round(median(found.table_ms), 3),
    route_change_table_p99_ms: round(p99[0], 3),
    route_change_explain_p50_ms: round(median(found.router_ms), 3),
    route_change_explain_p99_ms: round(p99[1], 3),
    renames: found.renames,
  };
}

/** Seconds from the start of the registries, which find an empty bucket, until all entries are there again. */
export async function rebuildTable(fabric: RegistryFabric): Promise<number> {
  const broker = await connectBroker({ urls: [fabric.natsUrl], name: 'bench', credsFile: fabric.creds });
  try {
    const entries = async () => (await broker.streams.state(STREAM))?.messages ?? 0;
    for (const registry of fabric.registries) await registry.stop();
    const before = await entries();
    await broker.request(`$JS.API.STREAM.PURGE.${STREAM}`, new Uint8Array(0), 30_000);
    if ((await entries()) !== 0) throw new Error('the bucket could not be emptied');
    const began = performance.now();
    const started = Promise.all(fabric.registries.map((registry) => registry.start()));
    await eventually(async () => (await entries()) >= before, { timeoutMs: REBUILD_MS, everyMs: 50 });
    const seconds = (performance.now() - began) / 1000;
    await started;
    return round(seconds, 2);
  } finally {
    await broker.close();
  }
}

/** Megabytes of memory that a process has; 0 where there is no /proc. */
export function residentMb(pid: number): number {
  try {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return (Number(kib ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}
