/** Another service of the fabric, which tells what it knows of its caller's org, and whose tokens it takes. */

import { type Question, UNLIMITED } from '@fleetwire/access';
import { RouterServiceDefinition } from '@fleetwire/gen/router';
import type { Caller } from '@fleetwire/identity';
import { bindService, callerOf, createRpcClient } from '@fleetwire/rpc';
import { defineService, runService } from '@fleetwire/runtime';
import type { OrgWorld } from './fixture.ts';

/** How soon every service must know what org has told. */
export const SOON = { timeoutMs: 5000 };

const service = defineService({
  name: 'router',
  config: {},
  broker: { streams: [] },
  wire: ({ orgs }) => ({
    rpc: [
      bindService(RouterServiceDefinition, {
        explain: async ({ to }, call: Parameters<typeof callerOf<Caller>>[0]) => {
          const access = orgs.get(callerOf(call).org);
          const question: Question = { action: 'message', actor: 'alice', target: to };
          return {
            reason: access?.decide(question).reason ?? 'ORG_NOT_KNOWN_YET',
            detail: String(access?.state.limits?.nodes ?? UNLIMITED),
          };
        },
      }),
    ],
  }),
});

export interface Neighbour {
  /** May alice message `to`, by what it has heard? With the number of nodes that the plan allows. */
  ask(token: string, to: string): Promise<{ readonly reason: string; readonly detail: string }>;
  stop(): Promise<void>;
}

export async function startNeighbour(world: OrgWorld): Promise<Neighbour> {
  const { org: _, ...overrides } = world.overrides;
  const running = await runService(service, { env: {}, overrides });
  const client = createRpcClient(RouterServiceDefinition, { address: running.address });
  return {
    ask: (token, to) => client.explain({ to }, { token }),
    stop: async () => {
      client.close();
      await running.stop();
    },
  };
}
