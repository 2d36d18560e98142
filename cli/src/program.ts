/** The command line's grammar: every command, its options, and how a command is run and ended. */

import { FleetwireError, nearestNames, printable } from '@fleetwire/kernel';
import { Command, CommanderError } from 'commander';
import { type Action, action as ambientAction } from './action.ts';
import { addAgentCommands } from './commands/agent.ts';
import { addAskCommand } from './commands/ask.ts';
import { addAuditCommands } from './commands/audit.ts';
import { addBootstrapCommand } from './commands/bootstrap.ts';
import { addChannelCommands } from './commands/channel.ts';
import { addClusterCommands } from './commands/cluster.ts';
import { addDeadCommands } from './commands/dead.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addFabricCommands } from './commands/fabric.ts';
import { addHistoryCommand } from './commands/history.ts';
import { addInviteCommands } from './commands/invite.ts';
import { addKeyCommands } from './commands/key.ts';
import { addMcpCommand } from './commands/mcp.ts';
import { addMemberCommands } from './commands/member.ts';
import { addMessageCommands } from './commands/message.ts';
import { addNodeCommands } from './commands/node.ts';
import { addOrgCommands } from './commands/org.ts';
import { addPlanCommands } from './commands/plan.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { addRouteCommands } from './commands/route.ts';
import { addSendCommand } from './commands/send.ts';
import { addStatusCommand } from './commands/status.ts';
import { addSubscribeCommand } from './commands/subscribe.ts';
import { addSubscriptionCommands } from './commands/subscription.ts';
import { addTraceCommand } from './commands/trace.ts';
import { addWhoCommand } from './commands/who.ts';
import { addWorkspaceCommands } from './commands/workspace.ts';
import { type StarterWord, tellStarter } from './fabric/starter.ts';
import { errorDocument, processStreams, reportError, type Streams } from './output.ts';
import { VERSION } from './version.ts';

export function buildProgram(action: Action = ambientAction): Command {
  const program = new Command('fleetwire')
    .description('The message fabric for fleets of AI agents.')
    .version(VERSION, '-V, --version')
    .option('--json', 'print one JSON document')
    .option('--context <name>', 'which fabric to talk to')
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  addFabricCommands(program, action);
  addStatusCommand(program, action);
  addClusterCommands(program, action);
  addNodeCommands(program, action);
  addAgentCommands(program, action);
  addChannelCommands(program, action);
  addWhoCommand(program, action);
  addSendCommand(program, action);
  addAskCommand(program, action);
  addMessageCommands(program, action);
  addTraceCommand(program, action);
  addDeadCommands(program, action);
  addHistoryCommand(program, action);
  addRouteCommands(program, action);
  addMcpCommand(program, action);
  addSubscribeCommand(program, action);
  addSubscriptionCommands(program, action);
  addOrgCommands(program, action);
  addMemberCommands(program, action);
  addInviteCommands(program, action);
  addKeyCommands(program, action);
  addWorkspaceCommands(program, action);
  addPolicyCommands(program, action);
  addPlanCommands(program, action);
  addAuditCommands(program, action);
  addDoctorCommand(program, action);
  addBootstrapCommand(program, action);
  addDemoCommand(program, action);
  inherit(program);
  return program;
}

/** Every command takes --json and --context in its own place too, and throws instead of ending the process. */
function inherit(command: Command): void {
  for (const sub of command.commands) {
    sub
      .option('--json', 'print one JSON document')
      .option('--context <name>', 'which fabric to talk to')
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    inherit(sub);
  }
}

/** Runs one command line (without node and script) and gives the exit code; `tell` is told of an error besides. */
export async function runProgram(
  args: readonly string[],
  action: Action = ambientAction,
  streams: Streams = processStreams,
  tell: (word: StarterWord) => Promise<void> = tellStarter,
): Promise<number> {
  const program = buildProgram(action);
  const json = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).includes('--json');
  try {
    await program.parseAsync(args as string[], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    const error = thrown instanceof CommanderError ? usageError(thrown, program, args) : thrown;
    const code = reportError(error, json, streams);
    await tell({ error: errorDocument(error) });
    return code;
  }
}

function usageError(error: CommanderError, program: Command, args: readonly string[]): FleetwireError {
  const message = error.message.replace(/^error: /, '').replace(/\s*\(Did you mean.*$/s, '');
  const command = commandOf(program, args);
  const path = pathOf(command);
  const names = command.commands.map((c) => c.name());
  if (error.code === 'commander.help' || error.code === 'commander.helpDisplayed')
    return new FleetwireError('invalid_argument', 'COMMAND_MISSING', `say what to do: ${path} COMMAND`, {
      help: `There is: ${names.join(', ')}. More: ${path} --help`,
    });
  if (error.code === 'commander.unknownCommand') {
    const wrong = /'([^']*)'/.exec(message)?.[1] ?? '';
    const near = nearestCommand(wrong, command);
    return new FleetwireError(
      'invalid_argument',
      'UNKNOWN_COMMAND',
      `unknown command "${printable(wrong)}"`,
      {
        help: near === undefined ? `There is: ${names.join(', ')}` : `Did you mean: ${path} ${near}`,
        details: { suggestions: near ?? '' },
      },
    );
  }
  return new FleetwireError('invalid_argument', 'INVALID_USAGE', message, { help: `See: ${path} --help` });
}

/** A name a typing error away, or one that is meant but stands in a group, like `run` for `agent run`. */
function nearestCommand(wrong: string, command: Command): string | undefined {
  const grouped = command.commands.flatMap((group) =>
    group.commands.filter((sub) => sub.name() === wrong).map((sub) => `${group.name()} ${sub.name()}`),
  );
  return (
    grouped[0] ??
    nearestNames(
      wrong,
      command.commands.map((c) => c.name()),
      1,
    )[0]
  );
}

/** The deepest command that the arguments name. */
function commandOf(program: Command, args: readonly string[]): Command {
  let command = program;
  for (const arg of args) {
    if (arg === '--') break;
    const sub = command.commands.find((c) => c.name() === arg);
    if (sub !== undefined) command = sub;
    else if (!arg.startsWith('-')) break;
  }
  return command;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
