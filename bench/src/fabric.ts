/** A fabric of its own for the benchmark: `fleetwire up` and two nodes, each a process, in a temporary folder. */

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { fabricUser, tempFolder } from '@fleetwire/testkit';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

export interface BenchNode {
  readonly name: string;
  readonly address: string;
  readonly token: string;
}

export interface BenchFabric {
  /** The folder that all its processes were given as FLEETWIRE_HOME. */
  readonly home: string;
  readonly natsUrl: string;
  /** Credentials of a user in the fabric's account. */
  readonly creds: string;
  readonly nodes: readonly [BenchNode, BenchNode];
  stop(): Promise<void>;
}

export async function startFabric(): Promise<BenchFabric> {
  const folder = tempFolder('bench');
  const home = folder.path;
  const stop = async () => {
    await fleetwire(home, ['down']);
    await folder[Symbol.asyncDispose]();
  };
  try {
    await fleetwire(home, ['up', '--detach']);
    for (const name of ['near', 'far']) await fleetwire(home, ['node', 'start', name, '--detach']);
    const fabric = join(home, 'data', 'fabric');
    const { ports } = JSON.parse(await readFile(join(fabric, 'fabric.json'), 'utf8'));
    return {
      home,
      natsUrl: `nats://127.0.0.1:${ports.nats}`,
      creds: await fabricUser(join(fabric, 'keys')),
      nodes: [await benchNode(home, 'near'), await benchNode(home, 'far')],
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function benchNode(home: string, name: string): Promise<BenchNode> {
  const folder = join(home, 'data', 'nodes', name);
  const { address } = JSON.parse(await readFile(join(folder, 'node.json'), 'utf8'));
  return { name, address, token: (await readFile(join(folder, 'admin-token'), 'utf8')).trim() };
}

async function fleetwire(home: string, args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: childEnvironment({ FLEETWIRE_HOME: home }),
  });
  const code = await new Promise<number>((resolve) => child.once('close', (c) => resolve(c ?? 1)));
  if (code !== 0) throw new Error(`fleetwire ${args.join(' ')} ended with ${code}`);
}
