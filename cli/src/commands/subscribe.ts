/** subscribe: follows a stream of the org and prints what comes; goes on where it was the last time. */

import { join } from 'node:path';
import { isSubscribed, isSubscriptionName, SUBSCRIBED, type Subscribed } from '@fleetwire/contract';
import { hashOf } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { moment, unusable, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { catchSignals } from '../fabric/signals.ts';
import { processScreen } from '../screen.ts';
import { type Asked, followStream } from '../subscriber.ts';
import { shownOf } from '../subscription-documents.ts';

export interface AskOptions {
  readonly node?: string;
  readonly service?: string;
  readonly event?: string;
  readonly all?: true;
  readonly since?: number;
}

export const WHAT = Object.keys(SUBSCRIBED).join(', ');

export function checkWhat(what: string): Subscribed {
  if (isSubscribed(what)) return what;
  throw unusable('what', what, `Give one of: ${WHAT}.`);
}

/** For an option or argument: it becomes a part of the name of a file here, and of the consumer. */
export function placeName(option: string): (text: string) => string {
  return (text) => {
    if (isSubscriptionName(text)) return text;
    throw unusable(option, text, 'Use 1 to 32 lowercase letters, digits and hyphens, and no hyphen first.');
  };
}

/** What narrows it, and where a new one begins. */
export function withAskOptions(command: Command): Command {
  return command
    .option('--node <name>', 'receipts: only about what agents of this node sent')
    .option('--service <name>', 'events: only of this service')
    .option('--event <name>', 'events and messages: only of this name')
    .option('--all', 'the first time: begin with all that the stream still has')
    .option('--since <time>', 'the first time: begin at this moment, like 2h', moment('--since'));
}

export function askedOf(what: Subscribed, name: string, o: AskOptions): Asked {
  const { node = '', service = '', event = '', all, since } = o;
  const from = all ? 'all' : since === undefined ? 'new' : 'time';
  return { name, what, node, service, event, from, fromMs: since ?? 0 };
}

export function addSubscribeCommand(program: Command, action: Action): void {
  const command = program
    .command('subscribe')
    .description('follow receipts, events, messages or dead letters of the org until Ctrl-C')
    .argument('<what>', WHAT)
    .option(
      '--name <name>',
      'of the place where it goes on; without it one of this machine and filter',
      placeName('--name'),
    )
    .option('--count <n>', 'end after so many messages of the stream', wholeNumber('--count', 1, 1_000_000));
  withAskOptions(command).action(action(subscribe));
}

/** One place for each filter, so that a second filter does not ask for the place of the first. */
function unnamed({ node = '', service = '', event = '' }: AskOptions): string {
  const filter = [node, service, event];
  return filter.every((part) => part === '') ? '' : `~${hashOf(filter.join(' ')).toString(36)}`;
}

async function subscribe(
  context: CommandContext,
  options: AskOptions & { readonly name?: string; readonly count?: number },
  given: string,
): Promise<void> {
  const what = checkWhat(given);
  const file = `${context.contextName}.${what}.${options.name ?? unnamed(options)}.nk`;
  const { output } = context;
  const screen = processScreen();
  const leaving = catchSignals();
  let left = options.count ?? Number.POSITIVE_INFINITY;
  try {
    await followStream(context, {
      keyFile: join(context.config.folders.config, 'subscriptions', file),
      // Without a name of its key, so that two people do not ask for the same place without knowing.
      asked: ({ publicKey }) =>
        askedOf(what, options.name ?? `cli-${publicKey.slice(-12).toLowerCase()}`, options),
      signal: leaving.signal,
      opened: ({ subscription, resumed }) => {
        const how = resumed ? `goes on, ${subscription!.pending} waiting` : 'is new';
        output.progress(`following ${subscription!.filter}; the subscription ${subscription!.name} ${how}`);
      },
      take: (message) => {
        for (const { document, line } of shownOf(what, message)) output.part(document, () => line);
        return --left > 0 && !screen.isGone();
      },
    });
  } finally {
    leaving.release();
  }
}
