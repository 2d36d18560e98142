/** Look-ups of names at random beside a bare gRPC echo. */

import { median, percentile, round } from '../percentiles.ts';
import type { TaskProcess } from '../task-process.ts';
import type { RegistryFabric } from './fabric.ts';
import { perNode, prefixOf } from './fill.ts';

const WARMUP_CALLS = 5000;
const WARMUP_MS = 2000;
/** To one server before the next one's turn, in the second measurement. */
const CALLS_IN_ROW = 20;

export async function lookUp(
  fabric: RegistryFabric,
  load: { readonly nodes: number; readonly agents: number; readonly seconds: number },
  lookups: TaskProcess,
  echoes: { readonly bare: TaskProcess; readonly library: TaskProcess },
) {
  const servers = {
    registries: fabric.registries.map((each) => each.address),
    echo: { bare: await echoes.bare.run('bare'), own: await echoes.library.run('library') },
    token: await fabric.token(),
    prefixes: fabric.registries.map((_, s) => prefixOf(s)),
    nodes: Math.floor(load.nodes / fabric.registries.length),
    agents: perNode(load),
  };
  const measure = (callsInTurn: number) =>
    lookups.run<Samples>('measure', {
      ...servers,
      seconds: load.seconds,
      warmupCalls: WARMUP_CALLS,
      warmupMs: WARMUP_MS,
      callsInTurn,
    });
  const found = await measure(1);
  const inRow = await measure(CALLS_IN_ROW);
  return {
    lookup_p50_ms: round(median(found.lookups_ms), 3),
    lookup_p99_ms: round(percentile(found.lookups_ms, 0.99), 3),
    raw_grpc_p50_ms: round(median(found.raw_ms), 3),
    raw_grpc_p99_ms: round(percentile(found.raw_ms, 0.99), 3),
    rpc_library_p50_ms: round(median(found.own_ms), 3),
    lookup_ratio: ratioOf(found),
    lookup_in_row_p50_ms: round(median(inRow.lookups_ms), 3),
    raw_grpc_in_row_p50_ms: round(median(inRow.raw_ms), 3),
    lookup_in_row_ratio: ratioOf(inRow),
    samples: found.lookups_ms.length,
  };
}

type Samples = Record<'lookups_ms' | 'raw_ms' | 'own_ms', number[]>;

const ratioOf = (found: Samples) => round(median(found.lookups_ms) / median(found.raw_ms), 3);
