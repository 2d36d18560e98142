/** Heartbeats of all nodes: as many as go, and what the processes take for a hundred in a second. */

import { pause } from '@fleetwire/kernel';
import { round } from '../percentiles.ts';
import { type ByRole, readCpu } from '../process-usage.ts';
import type { TaskProcess } from '../task-process.ts';
import type { RegistryFabric } from './fabric.ts';

/** Heartbeats under way in each of the processes. */
const WINDOW = 32;
const PER_S = 100;

export async function measureHeartbeats(
  fabric: RegistryFabric,
  simulators: readonly TaskProcess[],
  seconds: number,
) {
  await pace(simulators, 0);
  await flood(simulators, 2000);
  const beats = await flood(simulators, seconds * 1000);
  await pace(simulators, PER_S);
  await pause(2000);
  const before = readCpu(NO_HOME, fabric.roles);
  const began = performance.now();
  await pause(seconds * 1000);
  const after = readCpu(NO_HOME, fabric.roles);
  const elapsedUs = (performance.now() - began) * 1000;
  const percent = (role: string) => round((((after[role] ?? 0) - (before[role] ?? 0)) / elapsedUs) * 100, 1);
  const cpu: ByRole = Object.fromEntries(Object.keys(after).map((role) => [role, percent(role)]));
  return { heartbeats_per_s: round(beats / seconds), cpu_percent_at_100_heartbeats: cpu };
}

/** So many a second from now on, by all processes together. */
export async function pace(simulators: readonly TaskProcess[], perSecond: number): Promise<void> {
  const each = perSecond / simulators.length;
  await Promise.all(simulators.map((simulator) => simulator.run('pace', { perSecond: each })));
}

/** Of all heartbeats so far. */
export async function failures(simulators: readonly TaskProcess[]): Promise<{ failed: number; why: string }> {
  const counts = await Promise.all(simulators.map((s) => s.run<{ failed: number; why: string }>('counts')));
  const failed = counts.reduce((sum, each) => sum + each.failed, 0);
  return { failed, why: counts.find((each) => each.failed > 0)?.why ?? '' };
}

/** No process belongs here by its environment: all are given. */
const NO_HOME = '/nonexistent';

async function flood(simulators: readonly TaskProcess[], ms: number): Promise<number> {
  const run = (s: TaskProcess) => s.run<{ beats: number }>('flood', { ms, window: WINDOW });
  return (await Promise.all(simulators.map(run))).reduce((sum, each) => sum + each.beats, 0);
}
