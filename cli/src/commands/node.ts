/** node start | stop | list: the daemons of this machine and the nodes of the org. */

import { hostname } from 'node:os';
import type { Node } from '@fleetwire/gen/registry';
import { checkName, isName } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { allRows } from '../all-pages.ts';
import type { CommandContext } from '../command-context.ts';
import { startNode, stopNode } from '../fabric/node-process.ts';
import type { Hub } from '../hub.ts';
import { ago, table } from '../output.ts';
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
  node.command('list').description('all nodes of the org').action(action(list));
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

function hostName(): string {
  const plain = hostname()
    .split('.')[0]!
    .replace(/[^a-zA-Z0-9-]/g, '-')
    .slice(0, 50);
  return isName(plain) ? plain : 'node';
}

async function stop(context: CommandContext, _options: object, name: string): Promise<void> {
  const stopped = await stopNode(context, name);
  context.output.result({ name, stopped }, () => (stopped ? `${name} has ended` : `${name} was not running`));
}

/** All pages; the org's plan bounds how many nodes there can be. */
export const allNodes = (hub: Hub): Promise<Node[]> =>
  allRows(
    (page) => hub.registry.listNodes(page),
    (page) => page.nodes,
  );

async function list(context: CommandContext): Promise<void> {
  const nodes = await allNodes(await context.hub());
  const documents = nodes.map((n) => ({
    id: n.id,
    name: n.name,
    status: n.status,
    version: n.version,
    platform: n.platform,
    agents: n.agents,
    joined_at: new Date(n.joinedAtMs).toISOString(),
    last_seen_at: new Date(n.lastSeenAtMs).toISOString(),
  }));
  context.output.result({ nodes: documents }, () =>
    table(
      ['NAME', 'STATUS', 'AGENTS', 'LAST SEEN', 'VERSION', 'ID'],
      nodes.map((n) => [n.name, n.status, String(n.agents), ago(n.lastSeenAtMs), n.version, n.id]),
    ),
  );
}
