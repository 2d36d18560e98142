/** The router's table in a process of its own: what it takes, how fast it answers, how soon it shows a change. */

import { connectBroker } from '@fleetwire/broker';
import { ROUTES_BUCKET } from '@fleetwire/contract';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { RouterServiceDefinition } from '@fleetwire/gen/router';
import { pause } from '@fleetwire/kernel';
import { RoutesWatch, RoutingTable, resolve } from '@fleetwire/router/table';
import { createRpcClient } from '@fleetwire/rpc';
import { median } from '../percentiles.ts';
import { serveTasks } from './tasks.ts';

const DECISIONS = 100_000;
/** Their median counts, so that what else the machine does shows in some of them only. */
const ROUNDS = 15;
const NAMES = 4096;
/** After this a change counts as lost, and the run fails. */
const CHANGE_MS = 30_000;
/** Between two looks: who looks without a break keeps a core from those that it waits for. */
const LOOK_MS = 1;

let table = new RoutingTable();

/** V8's young generation grows to its full size in any process that works; that is not the table's doing. */
function growNursery(): void {
  const survivors: object[] = [];
  for (let i = 0; i < 3_000_000; i++)
    survivors[i % 200_000] = { i, next: survivors[(i * 7) % 200_000] === undefined };
}

function settled(): { heap: number; rss: number } {
  for (let i = 0; i < 4; i++) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, rss };
}

serveTasks({
  /** All of the bucket is in the table, and what that has taken. */
  async load(o: { natsUrl: string; creds: string }) {
    const broker = await connectBroker({ urls: [o.natsUrl], name: 'bench-table', credsFile: o.creds });
    table = new RoutingTable();
    const log = { info: () => undefined, error: console.error };
    const options = {
      table,
      lookup: { forget: () => undefined },
      log,
      bucket: await broker.bucket(ROUTES_BUCKET),
    };
    const watch = new RoutesWatch(options as unknown as ConstructorParameters<typeof RoutesWatch>[0]);
    growNursery();
    const before = settled();
    const began = performance.now();
    await watch.start();
    const seconds = (performance.now() - began) / 1000;
    const after = settled();
    return { agents: table.size, seconds, heap: after.heap - before.heap, rss: after.rss - before.rss };
  },
  size: () => ({ agents: table.size }),
  /** Nanoseconds of one decision, with the inbox subject. */
  decisions(o: { org: string }) {
    const all = [...table.names(o.org, Number.POSITIVE_INFINITY)];
    const names = Array.from({ length: NAMES }, () => all[Math.floor(Math.random() * all.length)]!);
    const known = { table, known: () => undefined };
    let bytes = 0;
    const decide = (times: number) => {
      const from = process.hrtime.bigint();
      for (let i = 0; i < times; i++) {
        const found = resolve(known, o.org, names[i % NAMES]!);
        if (found.kind === 'route') bytes += found.route.subject.length;
      }
      return Number(process.hrtime.bigint() - from) / times;
    };
    decide(DECISIONS);
    const ns = median(Array.from({ length: ROUNDS }, () => decide(DECISIONS)));
    if (bytes === 0) throw new Error('nothing was resolved');
    return { ns };
  },
  /** Milliseconds from the answer to a registration or a rename until the table, or the router, shows it. */
  async changes(o: ChangeOptions) {
    const registry = createRpcClient(RegistryServiceDefinition, {
      address: o.registry,
      token: () => o.nodeToken,
    });
    const router = createRpcClient(RouterServiceDefinition, { address: o.router, token: () => o.token });
    const samples = { table_ms: [] as number[], router_ms: [] as number[] };
    const inTable = async (name: string, answered: number) => {
      while (table.find(o.org, name) === undefined) {
        if (performance.now() - answered > CHANGE_MS) throw new Error(`${name} never came`);
        await pause(LOOK_MS);
      }
      samples.table_ms.push(performance.now() - answered);
    };
    const inRouter = async (name: string, answered: number) => {
      while (!(await router.explain({ org: '', to: name })).routable) {
        if (performance.now() - answered > CHANGE_MS) throw new Error(`${name} never came to the router`);
        await pause(LOOK_MS);
      }
      samples.router_ms.push(performance.now() - answered);
    };
    const follow = async (name: string) => {
      const answered = performance.now();
      await Promise.all([inTable(name, answered), inRouter(name, answered)]);
    };
    let renames = true;
    for (let i = 0; i < o.count; i++) {
      const began = performance.now();
      const name = `change-${i}`;
      const { agent } = await registry.registerAgent({ name, adapter: 'mailbox' });
      await follow(name);
      try {
        if (renames) {
          await registry.renameAgent({ agent: agent!.id, name: `${name}-b` });
          await follow(`${name}-b`);
        }
      } catch (error) {
        if ((error as { kind?: string }).kind !== 'unimplemented') throw error;
        renames = false;
      }
      await pause(Math.max(0, 1000 / o.perSecond - (performance.now() - began)));
    }
    registry.close();
    router.close();
    return { ...samples, renames };
  },
});

interface ChangeOptions {
  readonly count: number;
  readonly perSecond: number;
  readonly org: string;
  readonly registry: string;
  readonly nodeToken: string;
  readonly router: string;
  readonly token: string;
}
