/** Node daemons of this machine: in this process, or detached from it, and ended by their recorded pid. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lockHolder, type ProcessIdentity } from '@fleetwire/embedded';
import { checkName } from '@fleetwire/kernel';
import { start } from '@fleetwire/node';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { listLocalNodes, nodeFolder } from '../local-nodes.ts';
import { detach, endProcess, untilSignal } from './background.ts';
import { joinTokenIfNew } from './embedded-fabric.ts';

/** The process of a node of this machine; undefined when it does not run. */
export const nodeProcess = (folder: string): ProcessIdentity | undefined => lockHolder(folder);

/** True when it runs and answers where its folder says. */
async function isReady(dataFolder: string, name: string): Promise<boolean> {
  const holder = nodeProcess(nodeFolder(dataFolder, name));
  if (holder === undefined) return false;
  const nodes = await listLocalNodes(dataFolder);
  return nodes.some((node) => node.name === name && node.pid === holder.pid);
}

/** Starts a daemon for the node and resolves with its pid when it serves; one that runs is left alone. */
export async function ensureNodeProcess(
  context: CommandContext,
  name: string,
): Promise<{ pid: number; started: boolean }> {
  const { data } = context.config.folders;
  const running = nodeProcess(nodeFolder(data, name));
  if (running !== undefined) return { pid: running.pid, started: false };
  const pid = await detach({
    args: ['node', 'start', name, '--context', context.contextName],
    logFile: join(nodeFolder(data, name), 'node.log'),
    env: ownEnvironment(context.config),
    ready: () => isReady(data, name),
    timeoutMs: context.config.up.ready_ms,
  });
  return { pid, started: true };
}

/** Starts the node `name`; in the foreground it resolves when the node has ended. A node that runs is left alone. */
export async function startNode(context: CommandContext, name: string, background: boolean): Promise<void> {
  checkName(name, 'node');
  const folder = nodeFolder(context.config.folders.data, name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const running = nodeProcess(folder);
  if (background || running !== undefined) {
    const { pid, started } = await ensureNodeProcess(context, name);
    const state = started ? 'runs' : 'runs already';
    return context.output.result({ name, pid, started }, () => `${name} ${state} (process ${pid})`);
  }
  const hub = await context.context();
  const service = await start({
    overrides: {
      node: {
        name,
        data_dir: folder,
        registry: hub.endpoints.registry,
        ...(await joinTokenIfNew(folder, hub, context.config.ambient.api_key)),
      },
    },
    logStream: process.stderr,
  });
  context.output.result({ name, pid: process.pid, started: true }, () => `${name} runs; end it with Ctrl-C`);
  await untilSignal(() => service.stop());
}

/** False when it was not running. */
export async function stopNode(context: CommandContext, name: string): Promise<boolean> {
  checkName(name, 'node');
  const identity = nodeProcess(nodeFolder(context.config.folders.data, name));
  if (identity === undefined) return false;
  await endProcess(identity, name);
  return true;
}
