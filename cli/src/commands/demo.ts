/** demo: the whole of it in a folder of its own, ended afterwards; exits 0 or says what failed. */

import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';

export function addDemoCommand(program: Command, action: Action): void {
  program
    .command('demo')
    .description('start a fabric, two nodes and two agents, let them talk, and end it all')
    .action(action(demo));
}

async function demo(context: CommandContext): Promise<void> {
  const { runDemoAlone } = await import('../demo/demo-alone.ts');
  await runDemoAlone(context);
}
