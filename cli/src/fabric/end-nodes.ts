/** Ends the nodes of this machine, and with them, when told to, the programs that they left in terminals. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CommandContext } from '../command-context.ts';
import { connectNode, HUB_NODE, nodeFolder, nodeNames, runningNodes } from '../local-nodes.ts';
import { stopNode } from './node-process.ts';

const run = promisify(execFile);
const ANSWER_MS = 2000;

export interface EndedNodes {
  readonly stopped: string[];
  /** The first of what went wrong; the rest was ended all the same. */
  readonly fault: unknown;
}

/** All but the hub's own, which ends with the fabric. */
export async function endNodes(context: CommandContext): Promise<EndedNodes> {
  const stopped: string[] = [];
  let fault: unknown;
  for (const name of await nodeNames(context.config.folders.data)) {
    if (name === HUB_NODE) continue;
    try {
      if (!(await stopNode(context, name))) continue;
      stopped.push(name);
      context.output.progress(`node ${name} has ended`);
    } catch (error) {
      fault ??= error;
    }
  }
  return { stopped, fault };
}

/** The tmux servers under which this machine's agents run: as their nodes say, else where nodes put them. */
export async function terminalSockets(dataFolder: string): Promise<string[]> {
  const sockets = new Set<string>();
  for (const name of await nodeNames(dataFolder)) {
    const usual = join(nodeFolder(dataFolder, name), 'agents', 'tmux.sock');
    if (existsSync(usual)) sockets.add(usual);
  }
  for (const node of await runningNodes(dataFolder)) {
    const client = connectNode(node);
    const listed = await client.listLocalAgents({}, { deadlineMs: ANSWER_MS }).catch(() => ({ agents: [] }));
    client.close();
    for (const { pane } of listed.agents) {
      const socket = pane.split(' on ')[1];
      if (socket !== undefined) sockets.add(socket);
    }
  }
  const all = [...sockets];
  const alive = await Promise.all(all.map(answers));
  return all.filter((_, i) => alive[i]);
}

/** A server that has ended may have left its socket. */
function answers(socket: string): Promise<boolean> {
  return run('tmux', ['-S', socket, 'list-sessions']).then(
    () => true,
    () => false,
  );
}

/** Ends every program in them; one that has ended already is no fault. */
export async function endTerminals(sockets: readonly string[]): Promise<void> {
  for (const socket of sockets) await run('tmux', ['-S', socket, 'kill-server']).catch(() => undefined);
}
