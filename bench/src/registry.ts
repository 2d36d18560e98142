/** The registry benchmark: names, heartbeats and the routing table with many nodes and agents, over the real protocol. */

import { median, round } from './percentiles.ts';
import type { ByRole } from './process-usage.ts';
import { startRegistryFabric } from './registry/fabric.ts';
import { type Load, measureRun, type RegistryRun } from './registry/run.ts';

export interface RegistryOptions extends Load {
  /** Fabrics made one after the other, each measured once. */
  readonly runs: number;
}

export interface RegistryDocument extends Omit<RegistryRun, 'how'> {
  readonly bench: 'registry';
  readonly aims: Readonly<Record<string, boolean>>;
  readonly settings: RegistryOptions;
  readonly runs: readonly RegistryRun[];
}

/** The document holds the medians and every run. */
export async function benchRegistry(
  options: RegistryOptions,
  report: (line: string) => void,
): Promise<RegistryDocument> {
  const runs: RegistryRun[] = [];
  for (let i = 1; i <= options.runs; i++) {
    const fabric = await startRegistryFabric();
    try {
      runs.push(await measureRun(fabric, options, (line) => report(`run ${i}: ${line}`)));
    } finally {
      await fabric.stop();
    }
  }
  return documentOf(options, runs);
}

/** Of runs that were made with these settings. */
export function documentOf(options: RegistryOptions, runs: readonly RegistryRun[]): RegistryDocument {
  const medians = mediansOf(runs);
  const per100k = (medians.router_bytes_per_agent * 100_000) / 1e6;
  const aims = {
    'lookup at most 1.5 x a bare gRPC echo at the median': medians.lookup_ratio <= 1.5,
    '100,000 routes under 100 MB': per100k < 100,
    'a route change at every router within 50 ms at the 99th percentile':
      medians.route_change_to_router_p99_ms <= 50,
  };
  return { bench: 'registry', ...medians, aims, settings: options, runs };
}

function mediansOf(runs: readonly RegistryRun[]): Omit<RegistryRun, 'how'> {
  const [first] = runs;
  const { how: _how, cpu_percent_at_100_heartbeats: _cpu, ...numbers } = first!;
  const names = Object.keys(numbers) as (keyof typeof numbers)[];
  const medians = names.map((name) => [name, round(median(runs.map((run) => run[name])), 3)] as const);
  const roles = [...new Set(runs.flatMap((run) => Object.keys(run.cpu_percent_at_100_heartbeats)))];
  const cpu: ByRole = Object.fromEntries(
    roles.map((role) => [
      role,
      round(median(runs.map((r) => r.cpu_percent_at_100_heartbeats[role] ?? 0)), 1),
    ]),
  );
  return { ...(Object.fromEntries(medians) as typeof numbers), cpu_percent_at_100_heartbeats: cpu };
}
