/** The nodes of this machine, found by the files that each keeps in its data folder. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';

export interface LocalNode {
  readonly name: string;
  readonly node: string;
  readonly address: string;
  readonly pid: number;
  readonly folder: string;
  readonly adminToken: string;
}

export type NodeClient = RpcClient<NodeServiceDefinition> & { close(): void };

export const HUB_NODE = 'hub';
export const OPERATOR = 'operator';

export const nodesFolder = (dataFolder: string) => join(dataFolder, 'nodes');
export const nodeFolder = (dataFolder: string, name: string) => join(nodesFolder(dataFolder), name);

/** All nodes that were ever started here; whether one answers is another question. */
export async function listLocalNodes(dataFolder: string): Promise<LocalNode[]> {
  const root = nodesFolder(dataFolder);
  const names = await readdir(root).catch(() => [] as string[]);
  const found = await Promise.all(names.sort().map((name) => readNode(join(root, name))));
  return found.filter((node) => node !== undefined);
}

async function readNode(folder: string): Promise<LocalNode | undefined> {
  try {
    const file = JSON.parse(await readFile(join(folder, 'node.json'), 'utf8'));
    const adminToken = (await readFile(join(folder, 'admin-token'), 'utf8')).trim();
    return { name: file.name, node: file.node, address: file.address, pid: file.pid, folder, adminToken };
  } catch {
    return undefined;
  }
}

/** The node called `name`; without a name the hub's own, else the only one. Throws NODE_MISSING, NODE_AMBIGUOUS. */
export async function findLocalNode(dataFolder: string, name: string | undefined): Promise<LocalNode> {
  const nodes = await listLocalNodes(dataFolder);
  const wanted = name ?? (nodes.some((n) => n.name === HUB_NODE) ? HUB_NODE : undefined);
  const node = wanted === undefined ? nodes[0] : nodes.find((n) => n.name === wanted);
  if (wanted === undefined && nodes.length > 1)
    throw new FleetwireError(
      'invalid_argument',
      'NODE_AMBIGUOUS',
      'there are several nodes on this machine',
      {
        help: `Choose one with --node: ${nodes.map((n) => n.name).join(', ')}`,
      },
    );
  if (node !== undefined) return node;
  const known = nodes.map((n) => n.name).join(', ');
  throw new FleetwireError(
    'failed_precondition',
    'NODE_MISSING',
    wanted === undefined
      ? 'there is no node on this machine'
      : `there is no node "${wanted}" on this machine`,
    { help: known === '' ? 'Start one with: fleetwire up' : `There is: ${known}` },
  );
}

export function connectNode(node: Pick<LocalNode, 'address' | 'adminToken'>): NodeClient {
  return createRpcClient(NodeServiceDefinition, { address: node.address, token: () => node.adminToken });
}
