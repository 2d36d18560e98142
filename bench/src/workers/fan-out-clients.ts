/** Agents of the fan-out benchmark, all of one process: they send when told to, and count what comes. */

import { pause } from '@fleetwire/kernel';
import type { Agent } from '@fleetwire/sdk';
import { connectAll } from './clients.ts';
import type { ClientsOfNode } from './routed-settings.ts';
import { serveTasks } from './tasks.ts';

const agents: Agent[] = [];
let received = 0;

async function take(agent: Agent): Promise<void> {
  for await (const message of agent.messages()) {
    message.ack();
    received++;
  }
}

serveTasks({
  connect: async ({ own }: { own: readonly ClientsOfNode[] }) => {
    agents.push(...(await connectAll(own)));
    for (const agent of agents) void take(agent);
    return { ids: agents.map(({ id }) => id) };
  },
  received: () => ({ received }),
  /** Sends to each of `to`, `rounds` times over; answers when the node has accepted all, what it refused for now at last too. */
  send: async ({ to, rounds, bytes }: { to: readonly string[]; rounds: number; bytes: number }) => {
    const body = new Uint8Array(bytes).fill(0x61);
    const all = Array.from({ length: rounds }, () => to.map((name) => ({ to: name, body }))).flat();
    for (let left = all; left.length > 0; ) {
      const results = await agents[0]!.sendMany(left);
      const [error] = results.flatMap((result) => result.error ?? []);
      if (error !== undefined && error.retryAfterMs === undefined) throw error;
      left = left.filter((_, i) => results[i]!.error !== undefined);
      if (error?.retryAfterMs !== undefined) await pause(error.retryAfterMs);
    }
  },
});
