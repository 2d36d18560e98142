/** cluster status | join | remove: the org's machines as a whole, and this machine among them. */

import { checkName, FleetwireError, printable } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { startNode } from '../fabric/node-process.ts';
import { allNodes } from '../fleet.ts';
import { clusterView } from '../fleet-documents.ts';
import { hostName } from '../host-name.ts';
import { neverJoined, nodeFolder } from '../local-nodes.ts';
import { show, WATCH } from '../watch.ts';
import { addRemoveCommand } from './node-admin.ts';

export function addClusterCommands(program: Command, action: Action): void {
  const cluster = program.command('cluster').description('the machines of the org');
  cluster
    .command('status')
    .description('all nodes, what runs on them, and what people should look into')
    .option(...WATCH)
    .action(action(status));
  cluster
    .command('join')
    .description('start a node on this machine, in the org of a hub on another one')
    .argument('<address>', 'of the hub’s registry, host:port', hubAddress)
    .argument('[name]', 'unique in the org; the host name when left out')
    .option('--token <token>', 'the first time: a join token, of `fleetwire node token` there')
    .option('--detach', 'go on in the background')
    .action(action(join));
  addRemoveCommand(cluster, action);
}

async function status(context: CommandContext, options: { watch?: boolean }): Promise<void> {
  await show(context, options.watch, async () => clusterView(await allNodes(await context.hub())));
}

/** Throws invalid_argument INVALID_OPTION. */
function hubAddress(text: string): string {
  const [, port] = /^(?:[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(text) ?? [];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return text;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_OPTION',
    `"${printable(text)}" is not the address of a hub`,
    {
      help: 'Give host:port of its registry; `fleetwire node token` on the hub prints it.',
    },
  );
}

/** As `node start` with FLEETWIRE_HUB and FLEETWIRE_JOIN_TOKEN. */
async function join(
  context: CommandContext,
  options: { token?: string; detach?: boolean },
  address: string,
  given: string | undefined,
): Promise<void> {
  const name = given ?? hostName();
  checkName(name, 'node');
  const { folders, ambient } = context.config;
  const token = options.token ?? ambient.join_token;
  if (token === undefined && (await neverJoined(nodeFolder(folders.data, name)))) throw tokenMissing(name);
  await startNode(context.joiningAt(address, options.token), name, options.detach === true);
}

const tokenMissing = (name: string) =>
  new FleetwireError('failed_precondition', 'NODE_NOT_JOINED', `${name} belongs to no org yet`, {
    help: 'Give a join token with --token TOKEN; `fleetwire node token` on the hub prints one.',
  });
