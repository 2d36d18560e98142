/** node token list | revoke: join tokens that are open, and what became of the others. */

import type { JoinToken } from '@fleetwire/gen/org';
import { FleetwireError, isId, printable } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { allJoinTokens, MEMBER_OPTION, userId } from '../lookup.ts';
import { joinTokenDocument } from '../org-documents.ts';
import { minute, table } from '../output.ts';

const STATUSES = ['open', 'used', 'revoked', 'expired'] as const;

export function addTokenAdminCommands(token: Command, action: Action): void {
  token
    .command('list')
    .description('your join tokens of the last 30 days; for admins: all of the org')
    .option('--status <status>', STATUSES.join(', '), oneOf('--status', STATUSES))
    .option(...MEMBER_OPTION)
    .action(action(list));
  token
    .command('revoke')
    .description('make an open join token worth nothing')
    .argument('<token>', 'its id, of `fleetwire node token list`', tokenId)
    .action(action(revoke));
}

/** Throws invalid_argument INVALID_OPTION, without showing what may be the token itself. */
function tokenId(text: string): string {
  if (isId('join', text)) return text;
  const shown = text.startsWith('fwj_') ? 'a join token itself' : `"${printable(text)}"`;
  throw new FleetwireError('invalid_argument', 'INVALID_OPTION', `${shown} is not the id of a join token`, {
    help: 'The id begins with j_; see: fleetwire node token list',
  });
}

async function list(context: CommandContext, options: { status?: string; member?: string }): Promise<void> {
  const { door } = await context.orgDoor();
  const user = await userId(door, options.member);
  const tokens = await allJoinTokens(door, { user, status: options.status ?? '' });
  tokens.sort((a, b) => b.createdAtMs - a.createdAtMs);
  context.output.result({ tokens: tokens.map(joinTokenDocument) }, () =>
    tokens.length === 0
      ? 'no join tokens; make one with: fleetwire node token'
      : table(
          ['ID', 'STATUS', 'MADE', 'UNTIL', 'USED', 'BY'],
          tokens.map((t) => [t.id, t.status, minute(t.createdAtMs), until(t), minute(t.usedAtMs), t.user]),
        ),
  );
}

const until = (token: JoinToken) => (token.status === 'open' ? minute(token.expiresAtMs) : '-');

async function revoke(context: CommandContext, _options: object, id: string): Promise<void> {
  const { door } = await context.orgDoor();
  await door.revokeJoinToken({ id });
  context.output.result({ id, revoked: true }, () => `${id} is revoked`);
}
