/** Look-ups with one call in flight, in turn with calls of the bare echo server, so that both see the same machine. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { createRpcClient } from '@fleetwire/rpc';
import { echoClient } from '../raw/echo-client.ts';
import { inParallel, serveTasks } from './tasks.ts';

interface LookupOptions {
  readonly registries: readonly string[];
  /** Addresses of the two servers that do nothing. */
  readonly echo: { readonly bare: string; readonly own: string };
  readonly token: string;
  readonly seconds: number;
  /** To each server before anything counts, so that it runs compiled code. */
  readonly warmupCalls: number;
  /** With one call in flight, as it is measured then. */
  readonly warmupMs: number;
  /** How often one server is called before it is the next one's turn. */
  readonly callsInTurn: number;
  /** Agents have the names `<prefix>-<node>-<agent>`. */
  readonly prefixes: readonly string[];
  readonly nodes: number;
  readonly agents: number;
}

const WARMUP_AT_ONCE = 8;

serveTasks({
  async measure(o: LookupOptions) {
    const clients = o.registries.map((address) =>
      createRpcClient(RegistryServiceDefinition, { address, token: () => o.token }),
    );
    const bare = echoClient(o.echo.bare);
    const own = createRpcClient(RegistryServiceDefinition, { address: o.echo.own });
    const pick = (n: number) => Math.floor(Math.random() * n);
    const random = () => `${o.prefixes[pick(o.prefixes.length)]}-${pick(o.nodes)}-${pick(o.agents)}`;
    for (const server of [...clients, bare, own]) {
      await inParallel(Array.from({ length: o.warmupCalls }), WARMUP_AT_ONCE, async () => {
        await server.lookupAgent({ name: random(), org: '' });
      });
    }
    const samples = { lookups_ms: [] as number[], raw_ms: [] as number[], own_ms: [] as number[] };
    const turns = [
      ...clients.map((server) => ({ server, into: samples.lookups_ms })),
      { server: bare, into: samples.raw_ms },
      { server: own, into: samples.own_ms },
    ];
    const warm = performance.now() + o.warmupMs;
    const until = warm + o.seconds * 1000;
    while (performance.now() < until) {
      for (const { server, into } of turns) {
        for (let i = 0; i < o.callsInTurn; i++) {
          const name = random();
          const began = performance.now();
          const { agent } = await server.lookupAgent({ name, org: '' });
          const ended = performance.now();
          if (agent?.name !== name) throw new Error(`asked for ${name}, got ${agent?.name}`);
          if (began >= warm) into.push(ended - began);
        }
      }
    }
    for (const client of [...clients, own]) client.close();
    return samples;
  },
});
