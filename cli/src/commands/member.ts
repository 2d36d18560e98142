/** member list | role | remove | leave: the people of the org. */

import { FleetwireError, printable } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { allMembers, findMember } from '../lookup.ts';
import { memberDocument } from '../org-documents.ts';
import { minute, table, visible } from '../output.ts';
import { ORG_OPTION } from './org.ts';

const ROLES = ['owner', 'admin', 'member'];
/** Those that can be given; the owner is made with `org transfer`. */
export const GIVEN_ROLES = ['admin', 'member'];

export function addMemberCommands(program: Command, action: Action): void {
  const member = program.command('member').description('the people of the org');
  member
    .command('list')
    .description('who is in the org')
    .option('--role <role>', ROLES.join(', '), oneOf('--role', ROLES))
    .option('--email <part>', 'only those with this in their address')
    .option(...ORG_OPTION)
    .action(action(list));
  member
    .command('role')
    .description('make a member an admin, or an admin a member')
    .argument('<member>', 'by e-mail address or id')
    .argument('<role>', GIVEN_ROLES.join(' or '), oneOf('role', GIVEN_ROLES))
    .action(action(role));
  member
    .command('remove')
    .description(
      'take a member out of the org; their workspaces are suspended, machines that they joined are shut out',
    )
    .argument('<member>', 'by e-mail address or id')
    .action(action(remove));
  member
    .command('leave')
    .description('leave the org yourself; an owner hands over to the admin who joined first')
    .requiredOption('--confirm <slug>', 'the slug of the org, so that no slip makes you leave')
    .action(action(leave));
}

async function list(
  context: CommandContext,
  options: { role?: string; email?: string; org?: string },
): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const { role: roleOnly = '', email: emailContains = '' } = options;
  const members = await allMembers(door, { org, role: roleOnly, emailContains });
  members.sort((a, b) => a.joinedAtMs - b.joinedAtMs);
  context.output.result({ members: members.map(memberDocument) }, () =>
    table(
      ['E-MAIL', 'ROLE', 'JOINED', 'ID'],
      members.map((m) => [m.email, m.role, minute(m.joinedAtMs), m.user]),
    ),
  );
}

async function role(context: CommandContext, _options: object, wanted: string, given: string): Promise<void> {
  const { door } = await context.orgDoor();
  const { user, version } = await findMember(door, wanted);
  const { member } = await door.changeRole({ user, role: given, version });
  context.output.result(
    { member: memberDocument(member!) },
    () => `${visible(member!.email)}: ${member!.role}`,
  );
}

const suspended = (count: number) =>
  count === 0
    ? []
    : [
        `${count} workspace${count === 1 ? ' is' : 's are'} suspended; see: fleetwire workspace reassign --help`,
      ];

async function remove(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const { door } = await context.orgDoor();
  const { user, email } = await findMember(door, wanted);
  const { workspacesSuspended } = await door.removeMember({ user });
  context.output.result({ user, email, workspaces_suspended: workspacesSuspended }, () => [
    `${visible(email)} is no member any more`,
    ...suspended(workspacesSuspended),
    'machines that they brought into the org are shut out; to keep one: fleetwire node adopt NODE',
  ]);
}

async function leave(context: CommandContext, options: { confirm: string }): Promise<void> {
  const { door } = await context.orgDoor();
  const { slug } = (await door.getOrg({})).org!;
  if (options.confirm !== slug)
    throw new FleetwireError(
      'invalid_argument',
      'CONFIRM_SLUG',
      `"${printable(options.confirm)}" is not the slug of the org that you would leave`,
      { help: `Repeat its slug, ${slug}, to confirm.` },
    );
  const { workspacesSuspended, newOwner } = await door.leaveOrg({});
  const document = { slug, workspaces_suspended: workspacesSuspended, new_owner: newOwner || null };
  context.output.result(document, () => [
    `you have left ${slug}`,
    ...(newOwner === '' ? [] : [`${newOwner} is the owner now`]),
    ...suspended(workspacesSuspended),
  ]);
}
