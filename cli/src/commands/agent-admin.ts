/** agent list | rename | remove | move: agents of the org, wherever they live. */

import type { Agent } from '@fleetwire/gen/registry';
import { FleetwireError, isId } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { allAgents, checkAgent, checkNode, findNode } from '../fleet.ts';
import { agentDocument, agentsView } from '../fleet-documents.ts';
import type { Hub } from '../hub.ts';
import { visible } from '../output.ts';
import { capability } from '../profile-options.ts';
import { show, WATCH } from '../watch.ts';

export function addAgentAdminCommands(agent: Command, action: Action): void {
  agent
    .command('list')
    .description('all agents of the org')
    .option('--node <node>', 'only those of this node, by name or id', checkNode)
    .option('--capability <name>', 'only those that can do this', capability)
    .option(...WATCH)
    .action(action(list));
  agent
    .command('rename')
    .description('give an agent another name; mail follows it')
    .argument('<agent>', 'by name or id')
    .argument('<name>', 'the new one, unique in the org')
    .action(action(rename));
  agent
    .command('remove')
    .description('free the name of an agent, wherever it lives; mail that waits for it goes back')
    .argument('<agent>', 'by name or id')
    .action(action(remove));
  agent
    .command('move')
    .description('take an agent to another node, with the mail that waits for it')
    .argument('<agent>', 'by name or id')
    .requiredOption('--to <node>', 'by name or id', checkNode)
    .action(action(move));
}

interface ListOptions {
  readonly node?: string;
  readonly capability?: string;
  readonly watch?: boolean;
}

async function list(context: CommandContext, options: ListOptions): Promise<void> {
  const { node = '', capability: able = '' } = options;
  const hub = await context.hub();
  if (node !== '') await findNode(hub, node);
  const nobody = node === '' && able === '' ? undefined : 'no such agents';
  await show(context, options.watch, async () =>
    agentsView(await allAgents(await context.hub(), { node, capability: able }), nobody),
  );
}

async function rename(context: CommandContext, _options: object, given: string, name: string): Promise<void> {
  const request = { agent: checkAgent(given), name };
  checkAgent(name);
  const { agent } = await (await context.hub()).registry.renameAgent(request);
  context.output.result({ agent: agentDocument(agent!) }, () => `${visible(given)} is ${agent!.name} now`);
}

async function remove(context: CommandContext, _options: object, given: string): Promise<void> {
  const agent = checkAgent(given);
  const { registry } = await context.hub();
  // By an id the hub says yes to what is gone already; who mistyped it is to hear of that.
  const unknown = isId('agent', agent) ? await unknownAgent(registry, agent) : undefined;
  await registry.deregisterAgent({ agent });
  if (unknown !== undefined) throw unknown;
  context.output.result({ agent: given, removed: true }, () => `${visible(given)} is removed`);
}

async function unknownAgent(registry: Hub['registry'], agent: string): Promise<unknown> {
  try {
    await registry.lookupAgent({ name: agent });
    return undefined;
  } catch (error) {
    if (error instanceof FleetwireError && error.reason === 'UNKNOWN_AGENT') return error;
    throw error;
  }
}

async function move(context: CommandContext, options: { to: string }, given: string): Promise<void> {
  const request = { agent: checkAgent(given), toNode: options.to };
  const { agent } = await (await context.hub()).registry.moveAgent(request);
  context.output.result({ agent: agentDocument(agent!) }, () => [
    `${agent!.name} lives on ${agent!.nodeName} now${agent!.moving ? '; its mail is on the way' : ''}`,
    ...(agent!.adapter === 'tmux' || agent!.adapter === 'stdio' ? [programStays(agent!)] : []),
  ]);
}

/** Mail moves with an agent, its program does not. */
const programStays = ({ name, nodeName }: Agent) =>
  `its program has ended on the old node; start it on the new one: fleetwire agent run ${name} --node ${nodeName} -- COMMAND`;
