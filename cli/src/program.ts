/** The command line's grammar: every command, its options, and how a command is run and ended. */

import { FleetwireError, nearestNames } from '@fleetwire/kernel';
import { Command, CommanderError } from 'commander';
import { CommandContext, type GlobalOptions } from './command-context.ts';
import { addAgentCommands } from './commands/agent.ts';
import { addBootstrapCommand } from './commands/bootstrap.ts';
import { addDemoCommand } from './commands/demo.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addFabricCommands } from './commands/fabric.ts';
import { addMessageCommands } from './commands/message.ts';
import { addNodeCommands } from './commands/node.ts';
import { reportError } from './output.ts';
import { VERSION } from './version.ts';

export type Handler<O> = (context: CommandContext, options: O, ...args: never[]) => Promise<void>;
/** Turns a handler into what commander calls: with a context, closed at the end. */
export type Action = <O>(handler: Handler<O>) => (...args: unknown[]) => Promise<void>;

export function buildProgram(): Command {
  const program = new Command('fleetwire')
    .description('The message fabric for fleets of AI agents.')
    .version(VERSION, '-V, --version')
    .option('--json', 'print one JSON document')
    .option('--context <name>', 'which fabric to talk to')
    .enablePositionalOptions()
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  const action: Action =
    (handler) =>
    async (...args) => {
      const command = args.pop() as Command;
      const options = args.pop() as never;
      const context = new CommandContext(command.optsWithGlobals<GlobalOptions>());
      try {
        await handler(context, options, ...(args as never[]));
      } finally {
        context.close();
      }
    };
  addFabricCommands(program, action);
  addNodeCommands(program, action);
  addAgentCommands(program, action);
  addMessageCommands(program, action);
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

/** Runs one command line (without node and script) and gives the exit code. */
export async function runProgram(args: readonly string[]): Promise<number> {
  const program = buildProgram();
  const json = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).includes('--json');
  try {
    await program.parseAsync(args as string[], { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    return reportError(thrown instanceof CommanderError ? usageError(thrown, program, args) : thrown, json);
  }
}

function usageError(error: CommanderError, program: Command, args: readonly string[]): FleetwireError {
  const message = error.message.replace(/^error: /, '').replace(/\n\(Did you mean.*$/s, '');
  if (error.code === 'commander.help' || error.code === 'commander.helpDisplayed')
    return new FleetwireError('invalid_argument', 'COMMAND_MISSING', 'say what to do', {
      help: `There is: ${program.commands.map((c) => c.name()).join(', ')}. More: fleetwire --help`,
    });
  if (error.code === 'commander.unknownCommand') {
    const group = program.commands.find((c) => c.name() === args[0]) ?? program;
    const names = group.commands.map((c) => c.name());
    const wrong = /'([^']*)'/.exec(message)?.[1] ?? '';
    const near = nearestNames(wrong, names, 1);
    return new FleetwireError('invalid_argument', 'UNKNOWN_COMMAND', message, {
      help: near.length > 0 ? `Did you mean ${near[0]}?` : `There is: ${names.join(', ')}`,
    });
  }
  return new FleetwireError('invalid_argument', 'INVALID_USAGE', message, { help: 'See: fleetwire --help' });
}
