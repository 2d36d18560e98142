/** The nodes of this machine, found by the files that each keeps in its data folder. */

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { lockHolder, type ProcessIdentity } from '@fleetwire/embedded';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';

export interface LocalNode {
  /** Of its folder. */
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  readonly adminToken: string;
  /** Id of the org that it has joined; empty when its folder does not say. */
  readonly org: string;
}

export type NodeClient = RpcClient<NodeServiceDefinition> & { close(): void };

export const HUB_NODE = 'hub';
export const OPERATOR = 'operator';

const nodesFolder = (dataFolder: string) => join(dataFolder, 'nodes');
export const nodeFolder = (dataFolder: string, name: string) => join(nodesFolder(dataFolder), name);

/** The process of a node of this machine; undefined when it does not run. */
export const nodeProcess = (folder: string): ProcessIdentity | undefined => lockHolder(folder);

/** Names of all nodes that were ever started here. */
export async function nodeNames(dataFolder: string): Promise<string[]> {
  const entries = await readdir(nodesFolder(dataFolder), { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map((entry) => entry.name)
    .sort();
}

/** Those of which there is something to say: a folder that has not joined and does not run is no node yet. */
export async function shownNodeNames(dataFolder: string): Promise<string[]> {
  const names = await nodeNames(dataFolder);
  const shown = await Promise.all(
    names.map(async (name) => {
      const folder = nodeFolder(dataFolder, name);
      return nodeProcess(folder) !== undefined || !(await neverJoined(folder));
    }),
  );
  return names.filter((_, i) => shown[i]);
}

/** Has the folder no identity, or one without a node, and nothing that a node kept? False where it cannot say. */
export async function neverJoined(folder: string): Promise<boolean> {
  if (existsSync(join(folder, 'node.db'))) return false;
  try {
    return JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8')).node === '';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** The nodes whose process runs and says where it answers. */
export async function runningNodes(dataFolder: string): Promise<LocalNode[]> {
  const names = await nodeNames(dataFolder);
  const found = await Promise.all(names.map((name) => runningNode(nodeFolder(dataFolder, name))));
  return found.filter((node) => node !== undefined);
}

/** Undefined unless the very process that holds the folder has said where it answers. */
export async function runningNode(folder: string): Promise<LocalNode | undefined> {
  const holder = nodeProcess(folder);
  return holder === undefined ? undefined : readNode(folder, holder.pid);
}

/** What the folder says, of the process `pid` when it is given. */
export async function readNode(folder: string, pid?: number): Promise<LocalNode | undefined> {
  try {
    const file = JSON.parse(await readFile(join(folder, 'node.json'), 'utf8'));
    if (typeof file.address !== 'string' || (pid !== undefined && file.pid !== pid)) return undefined;
    const adminToken = (await readFile(join(folder, 'admin-token'), 'utf8')).trim();
    return { name: basename(folder), address: file.address, folder, adminToken, org: await nodeOrg(folder) };
  } catch {
    return undefined;
  }
}

/** Id of the org that the node of this folder has joined; empty before that, and when the folder cannot say. */
export async function nodeOrg(folder: string): Promise<string> {
  try {
    const { org } = JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'));
    return typeof org === 'string' ? org : '';
  } catch {
    return '';
  }
}

export function connectNode(node: Pick<LocalNode, 'address' | 'adminToken'>): NodeClient {
  return createRpcClient(NodeServiceDefinition, { address: node.address, token: () => node.adminToken });
}
