/** A fabric of its own for the benchmark: `fleetwire up` and nodes, each a process, in a temporary folder. */

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { type FirstAdmin, fabricUser, firstAdmin, serviceProcess, tempFolder } from '@fleetwire/testkit';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
const ROUTER = fileURLToPath(new URL('../../services/router/src/main.ts', import.meta.url));
/** As `fleetwire up` starts its processes. */
export const NODE_FLAGS = ['--max-semi-space-size=16'];

export interface BenchNode {
  readonly name: string;
  readonly address: string;
  readonly token: string;
}

export interface FabricShape {
  readonly partitions: number;
  /** The first is in the process of `up`, each further one a process of its own. */
  readonly routers: number;
  /** Nodes to send from, and to receive at. */
  readonly near: number;
  readonly far: number;
  /** Settings of the nodes, by environment variable. */
  readonly node_env?: Readonly<Record<string, string>>;
}

export interface BenchFabric {
  /** The folder that all its processes were given as FLEETWIRE_HOME. */
  readonly home: string;
  readonly natsUrl: string;
  /** Credentials of a user in the fabric's account. */
  readonly creds: string;
  readonly near: readonly BenchNode[];
  readonly far: readonly BenchNode[];
  /** Names of processes that are not known by their command line. */
  readonly roles: ReadonlyMap<number, string>;
  readonly registry: string;
  readonly admin: FirstAdmin;
  stop(): Promise<void>;
}

/** One sending node is `near`, several are `near-1` and so on; likewise `far`. */
export async function startFabric(shape: FabricShape): Promise<BenchFabric> {
  const folder = tempFolder('bench');
  const home = folder.path;
  const routers: Awaited<ReturnType<typeof serviceProcess>>[] = [];
  const stop = async () => {
    for (const router of routers) await router.stop();
    await fleetwire(home, ['down']);
    await folder[Symbol.asyncDispose]();
  };
  try {
    const data = join(home, 'data', 'fabric');
    const keys = join(data, 'keys');
    await fleetwire(home, ['up', '--detach'], { FLEETWIRE_UP_PARTITIONS: String(shape.partitions) });
    const { ports } = JSON.parse(await readFile(join(data, 'fabric.json'), 'utf8'));
    const natsUrl = `nats://127.0.0.1:${ports.nats}`;
    const registry = `127.0.0.1:${ports.registry}`;
    for (let i = 2; i <= shape.routers; i++) {
      const env = {
        FLEETWIRE_NATS_URL: natsUrl,
        FLEETWIRE_KEYS_DIR: keys,
        FLEETWIRE_LOG_LEVEL: 'warn',
        FLEETWIRE_ROUTER_REGISTRY_ADDRESS: registry,
        FLEETWIRE_INSTANCE: `router-${i}`,
      };
      const router = await serviceProcess({
        name: `router-${i}`,
        main: ROUTER,
        env,
        flags: NODE_FLAGS,
        dir: home,
      });
      await router.start();
      routers.push(router);
    }
    return {
      home,
      natsUrl,
      creds: await fabricUser(keys),
      near: await startNodes(home, names('near', shape.near), shape.node_env),
      far: await startNodes(home, names('far', shape.far), shape.node_env),
      roles: new Map(routers.map((router) => [router.pid(), router.name])),
      registry,
      admin: firstAdmin(`127.0.0.1:${ports.org}`, keys),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function names(name: string, count: number): string[] {
  return count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);
}

async function startNodes(
  home: string,
  names: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<BenchNode[]> {
  const nodes: BenchNode[] = [];
  for (const name of names) {
    await fleetwire(home, ['node', 'start', name, '--detach'], env);
    const folder = join(home, 'data', 'nodes', name);
    const { address } = JSON.parse(await readFile(join(folder, 'node.json'), 'utf8'));
    nodes.push({ name, address, token: (await readFile(join(folder, 'admin-token'), 'utf8')).trim() });
  }
  return nodes;
}

async function fleetwire(
  home: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: childEnvironment({ ...env, FLEETWIRE_HOME: home }),
  });
  const code = await new Promise<number>((resolve) => child.once('close', (c) => resolve(c ?? 1)));
  if (code !== 0) throw new Error(`fleetwire ${args.join(' ')} ended with ${code}`);
}
