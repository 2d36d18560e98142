/** Node daemons of this machine: in this process, or detached from it, and ended by their recorded pid. */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, makePrivateFolder } from '@fleetwire/embedded';
import { asFleetwireError, checkName, FleetwireError, printable } from '@fleetwire/kernel';
import { checkHealth } from '@fleetwire/rpc';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { putFile } from '../files.ts';
import { HUB_NODE, nodeFolder, nodeOrg, nodeProcess, runningNode } from '../local-nodes.ts';
import { checkNodeOrg } from '../nodes-of-org.ts';
import { detach, endProcess, stopped, untilReady } from './background.ts';
import type { Joining } from './join.ts';
import { withJoinKey } from './join-key.ts';
import { openLogFile } from './log-file.ts';
import { catchSignals } from './signals.ts';
import { tellStarter } from './starter.ts';

const HEALTH_MS = 2000;
/** How long people wait for a hub that does not answer when a node joins; a last try may take as long once more. */
const JOIN_WAIT_MS = 5000;
const logOf = (folder: string) => join(folder, 'node.log');

/** True when the process that holds the folder serves where the folder says. */
async function isReady(folder: string): Promise<boolean> {
  const node = await runningNode(folder);
  if (node === undefined) return false;
  return checkHealth({ address: node.address, deadlineMs: HEALTH_MS }).catch(() => false);
}

/** Of what joins by FLEETWIRE_HUB and a token only that token says the org. Rejects NODE_OF_OTHER_ORG. */
async function checkOrg(context: CommandContext, name: string, folder: string): Promise<void> {
  if (context.config.ambient.hub !== undefined || (await knowsItsHub(context, folder))) return;
  await checkNodeOrg(folder, name, await context.org());
}

/** On a machine without a hub and without contexts: the node has joined before, and its folder says where. */
async function knowsItsHub(context: CommandContext, folder: string): Promise<boolean> {
  if ((await nodeOrg(folder)) === '') return false;
  return context.context().then(
    () => false,
    (error: unknown) => asFleetwireError(error).reason === 'CONTEXT_MISSING',
  );
}

/**
 * Starts a daemon for the node and resolves with its pid when it serves; one that runs or starts is waited for. Rejects
 * NODE_OF_OTHER_ORG when it is not of the org in use.
 */
export async function ensureNodeProcess(
  context: CommandContext,
  name: string,
): Promise<{ pid: number; started: boolean }> {
  checkName(name, 'node');
  if (name === HUB_NODE) throw hubIsOurs();
  const { folders, up } = context.config;
  const folder = nodeFolder(folders.data, name);
  await checkOrg(context, name, folder);
  const running = nodeProcess(folder);
  if (running !== undefined && (await untilReady(running, () => isReady(folder), up.ready_ms))) {
    // One that was starting may have joined by now.
    await checkOrg(context, name, folder);
    return { pid: running.pid, started: false };
  }
  makePrivateFolder(folder);
  const pid = await detach({
    args: ['node', 'start', name, '--context', context.contextName],
    logFile: logOf(folder),
    env: ownEnvironment(context.config),
    timeoutMs: up.ready_ms,
  });
  return { pid, started: true };
}

/** The first start takes as long as the hub takes to answer. */
async function tellJoining(context: CommandContext, folder: string): Promise<void> {
  const { hub } = context.config.ambient;
  if (hub !== undefined && (await nodeOrg(folder)) === '')
    context.output.progress(`joining at the hub ${hub}`);
}

/** Starts the node `name`; in the foreground it resolves when the node has ended. A node that runs is left alone. */
export async function startNode(context: CommandContext, name: string, background: boolean): Promise<void> {
  const folder = nodeFolder(context.config.folders.data, name);
  await tellJoining(context, folder);
  if (background || nodeProcess(folder) !== undefined) {
    const { pid, started } = await ensureNodeProcess(context, name);
    const state = started ? 'runs' : 'runs already';
    return context.output.result({ name, pid, started }, () => `${name} ${state} (process ${pid})`);
  }
  if (name === HUB_NODE) throw hubIsOurs();
  await checkOrg(context, name, folder);
  const leaving = catchSignals(() => context.output.progress('ending; once more to end at once'));
  makePrivateFolder(folder);
  // What a crash left there says nothing about this run.
  await rm(join(folder, 'node.json'), { force: true });
  const logs = openLogFile(logOf(folder));
  try {
    const { ambient, folders } = context.config;
    const token = ambient.hub === undefined ? undefined : ambient.join_token;
    const service = await withJoinKey(folders.data, name, token, () => serve(context, name, folder, logs));
    if (leaving.signal.aborted) {
      await service.stop();
      throw stopped();
    }
    context.output.result({ name, pid: process.pid, started: true }, () => [
      `${name} runs; end it with Ctrl-C. Its log is ${logOf(folder)}`,
    ]);
    await tellStarter({ ready: true });
    await leaving.asked();
    await service.stop();
  } finally {
    await logs.close();
  }
}

async function serve(
  context: CommandContext,
  name: string,
  folder: string,
  logStream: { write(line: string): void },
) {
  const { start } = await import('@fleetwire/node');
  const { keepService } = await import('./keep-service.ts');
  const listen = context.config.listen ?? `127.0.0.1:${await portOf(folder)}`;
  const joining = await joiningFor(context, folder);
  const wait = context.config.joinWaitGiven ? {} : { join_wait_ms: JOIN_WAIT_MS };
  const node = { name, data_dir: folder, ...joining, ...wait };
  return keepService(
    () => start({ overrides: { rpc: { listen }, node }, logStream }),
    (line) => context.output.progress(line),
  );
}

/** FLEETWIRE_HUB and FLEETWIRE_JOIN_TOKEN where there is no context, as on a machine without a hub; else by the context. */
async function joiningFor(context: CommandContext, folder: string): Promise<Partial<Joining>> {
  const { hub, join_token, api_key } = context.config.ambient;
  if (hub !== undefined) return { registry: hub, ...(join_token === undefined ? {} : { join_token }) };
  if (await knowsItsHub(context, folder)) return {};
  const { joiningOf } = await import('./join.ts');
  return joiningOf(folder, await context.context(), api_key);
}

/** Of the node's first start and the same ever after, because running programs of agents know it. */
async function portOf(folder: string): Promise<number> {
  const file = join(folder, 'port');
  const known = Number(await readFile(file, 'utf8').catch(() => ''));
  if (Number.isInteger(known) && known > 0 && known < 65_536) return known;
  const port = await freePort();
  await putFile(file, `${port}\n`);
  return port;
}

const hubIsOurs = () =>
  new FleetwireError('invalid_argument', 'NODE_RESERVED', `"${HUB_NODE}" is the fabric's own node`, {
    help: 'It runs within `fleetwire up`; choose another name.',
  });

/** False when it was not running. Throws NODE_RESERVED, STOP_TIMEOUT. */
export async function stopNode(context: CommandContext, name: string): Promise<boolean> {
  checkName(name, 'node');
  if (name === HUB_NODE) throw hubIsOurs();
  const identity = nodeProcess(nodeFolder(context.config.folders.data, name));
  if (identity === undefined) return false;
  await endProcess(identity, `node ${printable(name)}`);
  return true;
}
