/** Look-ups of names at random beside a bare gRPC echo. */

import { median, percentile } from '../percentiles.ts';
import { round } from '../phases.ts';
import type { TaskProcess } from '../task-process.ts';
import type { RegistryFabric } from './fabric.ts';
import { perNode, prefixOf } from './fill.ts';

const WARMUP_MS = 3000;

export async function lookUp(
  fabric: RegistryFabric,
  load: { readonly nodes: number; readonly agents: number; readonly seconds: number },
  lookups: TaskProcess,
  echo: TaskProcess,
) {
  const found = await lookups.run<Record<'lookups_ms' | 'raw_ms' | 'own_ms', number[]>>('measure', {
    registries: fabric.registries.map((each) => each.address),
    echo: await echo.run('listen'),
    token: await fabric.token(),
    seconds: load.seconds,
    warmupMs: WARMUP_MS,
    prefixes: fabric.registries.map((_, s) => prefixOf(s)),
    nodes: Math.floor(load.nodes / fabric.registries.length),
    agents: perNode(load),
  });
  return {
    lookup_p50_ms: round(median(found.lookups_ms), 3),
    lookup_p99_ms: round(percentile(found.lookups_ms, 0.99), 3),
    raw_grpc_p50_ms: round(median(found.raw_ms), 3),
    raw_grpc_p99_ms: round(percentile(found.raw_ms, 0.99), 3),
    rpc_library_p50_ms: round(median(found.own_ms), 3),
    lookup_ratio: round(median(found.lookups_ms) / median(found.raw_ms), 3),
    samples: found.lookups_ms.length,
  };
}
