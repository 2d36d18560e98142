/** demo: the whole of it in a folder of its own, ended afterwards; exits 0 or says what failed. */

import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { runDemoAlone } from '../demo/demo-alone.ts';
import type { Action } from '../program.ts';

export function addDemoCommand(program: Command, action: Action): void {
  program
    .command('demo')
    .description('start a fabric, two nodes and two agents, let them talk, and end it all')
    .action(action((context: CommandContext) => runDemoAlone(context)));
}
