/** invite create | list | revoke: asking people into the org. */

import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { allInvites, inviteId } from '../lookup.ts';
import { inviteDocument } from '../org-documents.ts';
import { minute, table, visible } from '../output.ts';
import { addAcceptCommand } from './invite-accept.ts';
import { GIVEN_ROLES } from './member.ts';

const STATUSES = ['pending', 'accepted', 'revoked', 'expired'];

export function addInviteCommands(program: Command, action: Action): void {
  const invite = program.command('invite').description('invites into the org');
  invite
    .command('create')
    .description('invite somebody; the link that it prints is good for one person')
    .argument('[email]', 'only for this address; left out: for whoever has the link')
    .option('--role <role>', GIVEN_ROLES.join(' or '), oneOf('--role', GIVEN_ROLES), 'member')
    .option('--note <text>', 'shown to the invited person')
    .option('-q, --quiet', 'print the link alone')
    .action(action(create));
  invite
    .command('list')
    .description('invites, also those that are used up')
    .option('--status <status>', STATUSES.join(', '), oneOf('--status', STATUSES))
    .action(action(list));
  invite
    .command('revoke')
    .description('take an open invite back')
    .argument('<invite>', 'by its id, or the address that was invited')
    .action(action(revoke));
  addAcceptCommand(invite, action);
}

interface CreateOptions {
  readonly role: string;
  readonly note?: string;
  readonly quiet?: boolean;
}

async function create(
  context: CommandContext,
  options: CreateOptions,
  email: string | undefined,
): Promise<void> {
  const { door } = await context.orgDoor();
  const { role, note = '' } = options;
  const { invite, url } = await door.createInvite({ email: email ?? '', role, note });
  context.output.result({ invite: inviteDocument(invite!), url }, () => {
    if (options.quiet === true) return url;
    const whom = email === undefined ? 'whoever has this link' : `${visible(email)}, and nobody else,`;
    return [
      url,
      `${whom} can join with it as ${role === 'admin' ? 'an admin' : 'a member'} until ${minute(invite!.expiresAtMs)}:`,
      '  in a browser, or with: npx fleetwire invite accept LINK --email ADDRESS',
    ];
  });
}

async function list(context: CommandContext, options: { status?: string }): Promise<void> {
  const { door } = await context.orgDoor();
  const invites = await allInvites(door, { status: options.status ?? '' });
  context.output.result({ invites: invites.map(inviteDocument) }, () =>
    invites.length === 0
      ? 'no invites'
      : table(
          ['FOR', 'ROLE', 'STATUS', 'MAIL', 'EXPIRES', 'ID'],
          invites.map((i) => [i.email || 'anybody', i.role, i.status, i.mail, minute(i.expiresAtMs), i.id]),
        ),
  );
}

async function revoke(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const { door } = await context.orgDoor();
  const id = await inviteId(door, wanted);
  await door.revokeInvite({ id });
  context.output.result(
    { id, revoked: true },
    () => 'the invite is taken back; its link is worth nothing now',
  );
}
