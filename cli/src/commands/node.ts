/** node start | stop | list, and what else there is of nodes: the daemons of this machine and the nodes of the org. */

import { checkName } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { startNode, stopNode } from '../fabric/node-process.ts';
import { allNodes } from '../fleet.ts';
import { nodesView } from '../fleet-documents.ts';
import { hostName } from '../host-name.ts';
import { show, WATCH } from '../watch.ts';
import { addNodeAdminCommands } from './node-admin.ts';
import { addNodeStatusCommand } from './node-status.ts';
import { addNodeTokenCommand } from './node-token.ts';

export function addNodeCommands(program: Command, action: Action): void {
  const node = program.command('node').description('nodes: one daemon for each machine');
  node
    .command('start')
    .description('start a node on this machine and bring it into the org')
    .argument('[name]', 'unique in the org; the host name when left out')
    .option('--detach', 'go on in the background')
    .action(action(start));
  node
    .command('stop')
    .description('end a node of this machine; what it holds stays on its disk')
    .argument('<name>')
    .action(action(stop));
  addNodeTokenCommand(node, action);
  node
    .command('list')
    .description('all nodes of the org')
    .option(...WATCH)
    .action(action(list));
  addNodeStatusCommand(node, action);
  addNodeAdminCommands(node, action);
}

async function start(
  context: CommandContext,
  options: { detach?: boolean },
  given: string | undefined,
): Promise<void> {
  const name = given ?? hostName();
  checkName(name, 'node');
  await startNode(context, name, options.detach === true);
}

async function stop(context: CommandContext, _options: object, name: string): Promise<void> {
  const stopped = await stopNode(context, name);
  context.output.result({ name, stopped }, () => (stopped ? `${name} has ended` : `${name} was not running`));
}

async function list(context: CommandContext, options: { watch?: boolean }): Promise<void> {
  await show(context, options.watch, async () => nodesView(await allNodes(await context.hub())));
}
