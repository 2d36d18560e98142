/** Connects all agents of a process through the SDK. */

import { type Agent, type ConnectOptions, connect } from '@fleetwire/sdk';
import type { ClientsOfNode } from './routed-settings.ts';
import { inParallel } from './tasks.ts';

const AT_ONCE = 16;
const CONNECT_MS = 60_000;

/** In the order of the settings: those of the first node first. */
export async function connectAll(
  nodes: readonly ClientsOfNode[],
  more: ConnectOptions = {},
): Promise<Agent[]> {
  const wanted = nodes.flatMap(({ address, token, agents }) =>
    agents.map((name) => ({ address, token, name, connectMs: CONNECT_MS, ...more })),
  );
  const agents = Array.from<Agent>({ length: wanted.length });
  await inParallel(wanted, AT_ONCE, async (options, i) => {
    agents[i] = await connect(options);
  });
  return agents;
}
