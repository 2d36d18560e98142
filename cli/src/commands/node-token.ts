/** node token, and what else there is of join tokens: bringing another machine into the org. */

import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { duration } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { isoOrNull, minute } from '../output.ts';
import { addTokenAdminCommands } from './node-token-admin.ts';

const TTL_MS = 3_600_000;

export function addNodeTokenCommand(node: Command, action: Action): void {
  const group = node
    .command('token')
    .description('make a join token and print the command that brings another machine into the org with it')
    .option(
      '--ttl <time>',
      'good for this long, such as 30m; 1h when left out',
      duration('--ttl', '1s', '7d'),
    )
    .option('-q, --quiet', 'print the command alone')
    .action(action(token));
  addTokenAdminCommands(group, action);
}

async function token(context: CommandContext, options: { ttl?: number; quiet?: boolean }): Promise<void> {
  const { registry } = (await context.context()).endpoints;
  const { door } = await context.orgDoor();
  const { joinToken, expiresAtMs } = await door.createJoinToken({ ttlS: (options.ttl ?? TTL_MS) / 1000 });
  const command = joinCommand(registry, joinToken);
  const document = { join_token: joinToken, expires_at: isoOrNull(expiresAtMs), hub: registry, command };
  context.output.result(document, () => {
    if (options.quiet === true) return command;
    return [
      'on the other machine, once:',
      `  ${command}`,
      `the token is good for one machine until ${minute(expiresAtMs)}; later starts need no token`,
      ...(isLoopback(registry) ? LOOPBACK : []),
    ];
  });
}

/** What is typed on the other machine. */
export const joinCommand = (registry: string, joinToken: string): string =>
  `FLEETWIRE_HUB=${registry} FLEETWIRE_JOIN_TOKEN=${joinToken} npx fleetwire node start --detach`;

/** Is the address one that only this machine reaches? */
export const isLoopback = (address: string): boolean => /^(127\.|localhost:|\[?::1\]?:|unix:)/.test(address);

const LOOPBACK = [
  'no other machine reaches this address: start the fabric with FLEETWIRE_UP_HOST set to one that they reach',
];
