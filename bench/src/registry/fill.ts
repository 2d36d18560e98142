/** Fills a fabric: nodes join by both registries, then all of them register their agents. */

import { round } from '../percentiles.ts';
import type { TaskProcess } from '../task-process.ts';
import type { RegistryFabric } from './fabric.ts';

/** The first node of the first process. */
export interface Joined {
  readonly node: string;
  readonly token: string;
  readonly org: string;
}

/** How many agents each node has; the rest that cannot be divided is left out. */
export const perNode = (load: { readonly nodes: number; readonly agents: number }): number =>
  Math.floor(load.agents / load.nodes);

export const prefixOf = (simulator: number): string => `agent-${simulator}`;

export async function fill(
  fabric: RegistryFabric,
  load: { readonly nodes: number; readonly agents: number },
  simulators: readonly TaskProcess[],
) {
  const tokens = await fabric.joinTokens(load.nodes);
  const began = performance.now();
  const joined = await Promise.all(
    simulators.map((simulator, s) =>
      simulator.run<Joined>('join', {
        registry: fabric.registries[s]!.address,
        tokens: tokens.filter((_, i) => i % simulators.length === s),
        prefix: `node-${s}`,
      }),
    ),
  );
  const present = performance.now();
  const agents = perNode(load);
  const registered = await Promise.all(
    simulators.map((simulator, s) =>
      simulator.run<{ rosters: boolean }>('register', { agents, prefix: prefixOf(s) }),
    ),
  );
  const seconds = (performance.now() - present) / 1000;
  return {
    joined: joined[0]!,
    joins_per_s: round((load.nodes * 1000) / (present - began), 1),
    registrations_per_s: round((agents * load.nodes) / seconds),
    rosters: registered.every((each) => each.rosters),
  };
}
