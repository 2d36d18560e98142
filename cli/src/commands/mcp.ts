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
    .option(
      '--http [address]',
      'over HTTP instead, on host:port (127.0.0.1:7790), for all agents, each by its own token',
    )
    .option('--allow-host <name>', 'with --http: a name by which it may be called; may be given again', names)
    .option('--tls-cert <file>', 'with --http: PEM certificate chain; then it speaks TLS only')
    .option('--tls-key <file>', 'with --http: PEM private key that belongs to it')
    .option('--plain-http', 'with --http: also where the network sees tokens as they are')
    .action(action(mcp));
}

interface McpOptions extends ProfileOptions {
  readonly agent?: string;
  readonly node?: string;
  /** True: on the default address. */
  readonly http?: string | true;
  readonly allowHost?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly plainHttp?: boolean;
}

const HTTP_DEFAULT = '127.0.0.1:7790';

const names = (name: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  name.toLowerCase(),
];

async function mcp(context: CommandContext, options: McpOptions): Promise<void> {
  if (options.http !== undefined) return mcpOnHttp(context, options, options.http);
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

/** Throws invalid_argument INVALID_USAGE; as `serveOnHttp`. */
async function mcpOnHttp(context: CommandContext, options: McpOptions, given: string | true): Promise<void> {
  const { tlsCert: certFile, tlsKey: keyFile, agent } = options;
  if (agent !== undefined || (certFile === undefined) !== (keyFile === undefined))
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_USAGE',
      agent === undefined
        ? '--tls-cert and --tls-key go together'
        : '--http serves every agent by its own token',
      {
        help:
          agent === undefined ? 'Give both, or none.' : 'Leave --agent out; see: fleetwire agent token NAME',
      },
    );
  const leaving = catchSignals();
  const { byTokenHere } = await import('../mcp/introduction.ts');
  const { peopleOf } = await import('../mcp/people.ts');
  const { serveOnHttp } = await import('../mcp/http.ts');
  try {
    const served = await serveOnHttp({
      listen: given === true ? HTTP_DEFAULT : given,
      tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
      plain: options.plainHttp === true,
      hosts: options.allowHost ?? [],
      introduction: byTokenHere(context, options.node),
      people: peopleOf(context, false),
      warn: say,
    });
    context.output.result({ url: served.url }, () => `MCP at ${served.url}; end it with Ctrl-C`);
    await leaving.asked();
    await served.close();
  } finally {
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
