/** agent run | stop | token: agents of this machine and the programs behind them; and what else there is of agents. */

import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { LIMITS } from '@fleetwire/contract';
import type { LocalAgent } from '@fleetwire/gen/node';
import { checkName, FleetwireError, pause } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import type { NodeClient } from '../local-nodes.ts';
import { visible } from '../output.ts';
import { addProfileOptions, type ProfileOptions, profileOf } from '../profile-options.ts';
import { addAgentAdminCommands } from './agent-admin.ts';

const EARLY_LOOKS = 5;
const EARLY_LOOK_MS = 100;

export function addAgentCommands(program: Command, action: Action): void {
  const agent = program.command('agent').description('agents of the org, and their programs');
  addProfileOptions(agent.command('run'))
    .description('register an agent and start its program: fleetwire agent run alice -- claude')
    .argument('<name>', 'unique in the org')
    .argument('[command...]', 'the program and its arguments, after --')
    .option('--node <name>', 'on this node of this machine')
    .option('--adapter <kind>', 'tmux, stdio or mailbox', oneOf('--adapter', ['tmux', 'stdio', 'mailbox']))
    .option('--cwd <folder>', 'where it runs; here when left out')
    .option(
      '--queue-messages <number>',
      'how many may wait for it',
      wholeNumber('--queue-messages', 1, LIMITS.queueMessages),
    )
    .option(
      '--queue-bytes <number>',
      'how many bytes of them',
      wholeNumber('--queue-bytes', 1024, LIMITS.queueBytes),
    )
    .option(
      '--drop <which>',
      'when more comes: newest goes back to its sender, oldest becomes a dead letter',
      oneOf('--drop', ['newest', 'oldest']),
    )
    .option('--take-over', 'from a node that is away or draining, where it lives so far')
    .action(action(run));
  agent
    .command('stop')
    .description('end the program of an agent of this machine and free its name')
    .argument('<name>')
    .option('--node <name>', 'on this node of this machine')
    .action(action(stop));
  agent
    .command('token')
    .description('print the token by which programs act as an agent of this machine, and as no other one')
    .argument('<name>')
    .option('--node <name>', 'on this node of this machine')
    .action(action(token));
  addAgentAdminCommands(agent, action);
}

interface RunOptions extends ProfileOptions {
  readonly queueMessages?: number;
  readonly queueBytes?: number;
  readonly drop?: string;
  readonly node?: string;
  readonly takeOver?: boolean;
  readonly adapter?: string;
  readonly cwd?: string;
}

async function run(
  context: CommandContext,
  options: RunOptions,
  name: string,
  command: readonly string[],
): Promise<void> {
  checkName(name, 'agent');
  const profile = profileOf(options);
  const cwd = resolve(options.cwd ?? '.');
  const folder = await stat(cwd).catch(() => undefined);
  if (folder?.isDirectory() !== true)
    throw new FleetwireError('invalid_argument', 'INVALID_OPTION', `--cwd ${visible(cwd)} is not a folder`, {
      help: 'Name a folder that is there, or leave it out.',
    });
  const node = await context.node(options.node);
  const adapter = options.adapter ?? (command.length === 0 ? 'mailbox' : 'tmux');
  const { agent } = await node.runAgent({
    name,
    adapter,
    command: [...command],
    cwd,
    env: {},
    takeOver: options.takeOver === true,
    ...(profile === undefined ? {} : { profile }),
    ...queueGiven(options),
  });
  await endedAtOnce(node, agent!);
  const { id, state, pid, pane } = agent!;
  context.output.result({ id, name: agent!.name, adapter, state, pid, pane }, () => [
    `${agent!.name} is ${state === '' ? 'registered' : state} (${adapter}${pane === '' ? '' : `, pane ${pane}`})`,
  ]);
}

/** Nothing when nothing of it was said: then what is known stays. */
function queueGiven({ queueMessages: messages = 0, queueBytes: bytes = 0, drop = '' }: RunOptions) {
  return messages === 0 && bytes === 0 && drop === '' ? {} : { queue: { messages, bytes, drop } };
}

/** A command that cannot run ends within a moment; better said now than found out by the first message. */
async function endedAtOnce(node: NodeClient, agent: LocalAgent): Promise<void> {
  if (agent.state === '') return;
  for (let look = 0; look < EARLY_LOOKS; look++) {
    await pause(EARLY_LOOK_MS);
    const { agents } = await node.listLocalAgents({});
    if (agents.find((a) => a.id === agent.id)?.state !== 'exited') continue;
    throw new FleetwireError(
      'failed_precondition',
      'PROGRAM_EXITED',
      `the program of ${agent.name} has ended at once`,
      {
        help: `Correct its command, then: fleetwire agent stop ${agent.name}, and run it again.`,
      },
    );
  }
}

async function stop(context: CommandContext, options: { node?: string }, name: string): Promise<void> {
  const { node } = await context.acting(name, options.node);
  await node.stopAgent({ name });
  context.output.result({ name, stopped: true }, () => `${name} is stopped, its name is free`);
}

async function token(context: CommandContext, options: { node?: string }, name: string): Promise<void> {
  const { node, agent } = await context.acting(name, options.node);
  const told = await node.agentToken({ name: agent });
  context.output.result({ id: told.agent, name: told.name, token: told.token }, () => told.token);
}
