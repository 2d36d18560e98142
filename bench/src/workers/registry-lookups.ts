/** Look-ups with one call in flight, in turn with calls of the bare echo server, so that both see the same machine. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { createRpcClient } from '@fleetwire/rpc';
import { echoClient } from '../raw/echo-client.ts';
import { serveTasks } from './tasks.ts';

interface LookupOptions {
  readonly registries: readonly string[];
  /** Addresses of the two servers that do nothing. */
  readonly echo: { readonly bare: string; readonly own: string };
  readonly token: string;
  readonly seconds: number;
  readonly warmupMs: number;
  /** Agents have the names `<prefix>-<node>-<agent>`. */
  readonly prefixes: readonly string[];
  readonly nodes: number;
  readonly agents: number;
}

serveTasks({
  async measure(o: LookupOptions) {
    const clients = o.registries.map((address) =>
      createRpcClient(RegistryServiceDefinition, { address, token: () => o.token }),
    );
    const bare = echoClient(o.echo.bare);
    const own = createRpcClient(RegistryServiceDefinition, { address: o.echo.own });
    const pick = (n: number) => Math.floor(Math.random() * n);
    const samples = { lookups_ms: [] as number[], raw_ms: [] as number[], own_ms: [] as number[] };
    const began = performance.now();
    const warm = began + o.warmupMs;
    const until = warm + o.seconds * 1000;
    for (let i = 0; performance.now() < until; i++) {
      const name = `${o.prefixes[pick(o.prefixes.length)]}-${pick(o.nodes)}-${pick(o.agents)}`;
      const first = performance.now();
      const { agent } = await clients[i % clients.length]!.lookupAgent({ name, org: '' });
      const second = performance.now();
      await bare.lookupAgent({ name, org: '' });
      const third = performance.now();
      await own.lookupAgent({ name, org: '' });
      const fourth = performance.now();
      if (agent?.name !== name) throw new Error(`asked for ${name}, got ${agent?.name}`);
      if (first < warm) continue;
      samples.lookups_ms.push(second - first);
      samples.raw_ms.push(third - second);
      samples.own_ms.push(fourth - third);
    }
    for (const client of [...clients, own]) client.close();
    return samples;
  },
});
