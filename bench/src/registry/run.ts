/** One run: a fabric is filled with nodes and agents, then measured phase by phase. */

import { NODE_FLAGS } from '../fabric.ts';
import { round } from '../percentiles.ts';
import type { ByRole } from '../process-usage.ts';
import { startTasks } from '../task-process.ts';
import type { RegistryFabric } from './fabric.ts';
import { fill } from './fill.ts';
import { failures, measureHeartbeats, pace } from './heartbeats.ts';
import { lookUp } from './look-up.ts';
import { followChanges, readTable, rebuildTable, residentMb } from './table.ts';

export interface Load {
  readonly nodes: number;
  /** In all. */
  readonly agents: number;
  /** Of each timed phase. */
  readonly seconds: number;
  /** Route changes that are followed. */
  readonly changes: number;
}

export interface RegistryRun {
  readonly lookup_p50_ms: number;
  readonly lookup_p99_ms: number;
  readonly raw_grpc_p50_ms: number;
  readonly raw_grpc_p99_ms: number;
  /** The same answer by a server and a client of libs/rpc, without a token: what of a look-up is not the registry's. */
  readonly rpc_library_p50_ms: number;
  readonly lookup_ratio: number;
  /** Twenty calls to one server after the other, which find it awake and its code in the processor's cache. */
  readonly lookup_in_row_p50_ms: number;
  readonly raw_grpc_in_row_p50_ms: number;
  readonly lookup_in_row_ratio: number;
  readonly joins_per_s: number;
  readonly registrations_per_s: number;
  readonly heartbeats_per_s: number;
  readonly router_resolve_ns: number;
  readonly router_bytes_per_agent: number;
  /** By which a process grows that reads the table. */
  readonly table_process_mb: number;
  /** By which a router has grown since before the first agent. */
  readonly router_process_mb: number;
  /** The slower of what our table and the router's Explain show. */
  readonly route_change_to_router_p99_ms: number;
  readonly route_change_table_p50_ms: number;
  readonly route_change_table_p99_ms: number;
  readonly route_change_explain_p50_ms: number;
  readonly route_change_explain_p99_ms: number;
  /** Reading a full bucket. */
  readonly table_load_s: number;
  /** From the start of registries that find an empty bucket until it is full again. */
  readonly table_rebuild_s: number;
  /** Per cent of one core. */
  readonly cpu_percent_at_100_heartbeats: ByRole;
  readonly how: {
    readonly rosters: boolean;
    readonly renames: boolean;
    readonly lookups: number;
    readonly heartbeats_failed: number;
  };
}

/** What the registry expects of each node. */
const HEARTBEAT_S = 10;

export async function measureRun(
  fabric: RegistryFabric,
  load: Load,
  report: (line: string) => void,
): Promise<RegistryRun> {
  const simulators = fabric.registries.map(() => startTasks('workers/registry-nodes'));
  const table = startTasks('workers/registry-table', ['--expose-gc', ...NODE_FLAGS]);
  const lookups = startTasks('workers/registry-lookups');
  const echoes = { bare: startTasks('raw/grpc-echo'), library: startTasks('raw/grpc-echo') };
  try {
    const before = residentMb(fabric.routers[1].pid());
    const filled = await fill(fabric, load, simulators);
    report(`${round(filled.joins_per_s, 1)} joins/s, ${round(filled.registrations_per_s)} registrations/s`);
    const read = await readTable(fabric, load.agents, table);
    const router_process_mb = round(residentMb(fabric.routers[1].pid()) - before, 1);
    report(`${read.router_bytes_per_agent} bytes for each route, read in ${read.table_load_s} s`);
    const beats = await measureHeartbeats(fabric, simulators, load.seconds);
    report(`${beats.heartbeats_per_s} heartbeats/s`);
    await pace(simulators, load.nodes / HEARTBEAT_S);
    const { samples, ...looked } = await lookUp(fabric, load, lookups, echoes);
    const { lookup_p50_ms, raw_grpc_p50_ms, lookup_ratio, lookup_in_row_ratio } = looked;
    const ratios = `ratio ${lookup_ratio}, in a row ${lookup_in_row_ratio}`;
    report(`look-up ${lookup_p50_ms} ms, raw ${raw_grpc_p50_ms} ms, ${ratios}`);
    const { ns } = await table.run<{ ns: number }>('decisions', { org: filled.joined.org });
    const { renames, ...changed } = await followChanges(fabric, load.changes, table, filled.joined);
    report(`route change ${changed.route_change_to_router_p99_ms} ms at the 99th percentile`);
    const { failed, why } = await failures(simulators);
    if (failed > 0) report(`${failed} heartbeats failed: ${why}`);
    await pace(simulators, 0);
    const table_rebuild_s = await rebuildTable(fabric);
    report(`table rebuilt in ${table_rebuild_s} s`);
    const { joined: _joined, rosters, ...rates } = filled;
    const router_resolve_ns = round(ns);
    const how = { rosters, renames, lookups: samples, heartbeats_failed: failed };
    const sizes = { ...read, router_process_mb };
    return { ...looked, ...rates, ...beats, router_resolve_ns, ...sizes, ...changed, table_rebuild_s, how };
  } finally {
    for (const each of [...simulators, table, lookups, ...Object.values(echoes)]) await each.stop();
  }
}
