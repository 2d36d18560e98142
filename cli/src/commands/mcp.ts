/** mcp: the door for coding agents, as tools of the Model Context Protocol. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { catchSignals } from '../fabric/signals.ts';
import { addProfileOptions, type ProfileOptions, profileOf } from '../profile-options.ts';

export function addMcpCommand(program: Command, action: Action): void {
  addProfileOptions(program.command('mcp'))
    .description(
      'serve the tools send, ask, inbox, who, trace and channels to a coding agent, by MCP on its standard input',
    )
    .option('--agent <name>', "who it is; registered when new. Within an agent's program it is that agent")
    .option('--node <name>', 'on this node of this machine')
    .action(action(mcp));
}

interface McpOptions extends ProfileOptions {
  readonly agent?: string;
  readonly node?: string;
}

async function mcp(context: CommandContext, options: McpOptions): Promise<void> {
  const leaving = catchSignals();
  const { AgentDoor } = await import('../mcp/agent-door.ts');
  const { peopleOf } = await import('../mcp/people.ts');
  const { serveOnStdio } = await import('../mcp/stdio.ts');
  const door = new AgentDoor(await introductionOf(context, options));
  try {
    await serveOnStdio({ door, people: peopleOf(context, true) }, leaving.signal, say);
  } finally {
    await door.close();
    leaving.release();
  }
}

/** Throws invalid_argument AGENT_MISSING; permission_denied NOT_THIS_AGENT. */
async function introductionOf(context: CommandContext, options: McpOptions) {
  const { byName, byToken, ownAddress } = await import('../mcp/introduction.ts');
  const { agent, agent_token: token } = context.config.ambient;
  if (token !== undefined) {
    context.checkOwnName(options.agent);
    return byToken(() => ownAddress(context), token);
  }
  const name = options.agent ?? agent;
  if (name === undefined)
    throw new FleetwireError('invalid_argument', 'AGENT_MISSING', 'say as which agent', {
      help: 'Give its name: fleetwire mcp --agent NAME',
    });
  return byName(context, { name, node: options.node, profile: profileOf(options) });
}

/** Standard output is the protocol's. */
const say = (error: Error): void => void process.stderr.write(`fleetwire: ${error.message}\n`);
