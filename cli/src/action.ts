/** How a command is run: its handler gets a context, which is closed when it ends. */

import type { Command } from 'commander';
import { CommandContext, type GlobalOptions } from './command-context.ts';

export type Handler<O> = (context: CommandContext, options: O, ...args: never[]) => Promise<void>;
/** Turns a handler into what commander calls: with a context, closed at the end. */
export type Action = <O>(handler: Handler<O>) => (...args: unknown[]) => Promise<void>;

export const action: Action = actionWith((options) => new CommandContext(options));

/** With contexts of another making. */
export function actionWith(contextOf: (options: GlobalOptions) => CommandContext): Action {
  return (handler) =>
    async (...args) => {
      const command = args.pop() as Command;
      const options = args.pop() as never;
      const context = contextOf(command.optsWithGlobals<GlobalOptions>());
      try {
        await handler(context, options, ...(args as never[]));
      } catch (error) {
        throw await context.explain(error);
      } finally {
        context.close();
      }
    };
}
