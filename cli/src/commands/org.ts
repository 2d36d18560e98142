/** org show | create | use | update | transfer | delete | list | restore: organizations, and which one commands act in. */

import type { Org } from '@fleetwire/gen/org';
import { FleetwireError } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { allRows } from '../all-pages.ts';
import { either, oneOf } from '../arguments.ts';
import { chooseContext } from '../chosen-context.ts';
import type { CommandContext } from '../command-context.ts';
import { contextNames, loadContext } from '../context.ts';
import { findMember } from '../lookup.ts';
import { orgDocument } from '../org-documents.ts';
import { minute, table, visible } from '../output.ts';
import { checkFreeContext, prepareAccess, saveAccess } from '../saved-access.ts';

/** What is kept of messages, in words. */
const HISTORY_LINES: Readonly<Record<string, string>> = {
  full: 'full: messages with their bodies',
  metadata: 'metadata: messages without their bodies',
  off: 'off: only what became of messages',
};

/** What is told of messages as events, in words. */
const EVENT_LINES: Readonly<Record<string, string>> = {
  off: 'off: messages are not told',
  metadata: 'metadata: messages are told as events, without their texts',
  full: 'full: messages are told as events, with their texts',
};

/** For commands that the fabric's operator may use on any org. */
export const ORG_OPTION = ['--org <slug>', "as the fabric's operator: this org, by its slug or id"] as const;

export function addOrgCommands(program: Command, action: Action): void {
  const org = program.command('org').description('organizations: people, keys, plans and policies of a team');
  org
    .command('show')
    .description('the org that you act in')
    .option(...ORG_OPTION)
    .action(action(show));
  org
    .command('create')
    .description('make an org with you as its owner, and keep its key as a context of this machine')
    .argument('<name>')
    .option('--slug <slug>', 'its short name; made of the name when left out')
    .option('--plan <plan>', 'free, pro, team or enterprise')
    .option('--owner-email <address>', "as the fabric's operator: for this owner")
    .option('--context-name <name>', 'keep it as this context; the slug when left out')
    .action(action(create));
  org
    .command('use')
    .description('act in the org of this context from now on; without a name: which contexts there are')
    .argument('[context]')
    .action(action(use));
  org
    .command('update')
    .description('change its name, slug or settings')
    .option('--name <name>')
    .option('--slug <slug>')
    .option('--sso <on|off>', 'single sign-on, where the plan has it', either('--sso', 'on', 'off'))
    .action(action(update));
  org
    .command('history')
    .description('what is kept of messages that are sent from now on; without a mode: what is kept')
    .argument(
      '[mode]',
      'full, metadata (all but bodies) or off (only what became of them)',
      oneOf('mode', Object.keys(HISTORY_LINES)),
    )
    .action(action(choice('history', 'history', HISTORY_LINES)));
  org
    .command('events')
    .description('what subscribers to messages are told from now on; without a mode: what they are told')
    .argument('[mode]', 'off, metadata (all but texts) or full', oneOf('mode', Object.keys(EVENT_LINES)))
    .action(action(choice('messageEvents', 'message_events', EVENT_LINES)));
  org
    .command('transfer')
    .description('make another member the owner; you stay as an admin')
    .argument('<member>', 'by e-mail address or id')
    .action(action(transfer));
  org
    .command('delete')
    .description('delete the org; the operator can restore it for 30 days')
    .requiredOption('--confirm <slug>', 'its slug, so that no slip deletes an org')
    .option(...ORG_OPTION)
    .action(action(remove));
  addOperatorCommands(org, action);
}

function addOperatorCommands(org: Command, action: Action): void {
  const statuses = ['active', 'deleting', 'deleted'];
  org
    .command('list')
    .description("as the fabric's operator: all orgs")
    .option('--status <status>', statuses.join(', '), oneOf('--status', statuses))
    .action(action(list));
  org
    .command('restore')
    .description("as the fabric's operator: undo a deletion, within 30 days")
    .argument('<slug>', 'or its id')
    .action(action(restore));
}

async function show(context: CommandContext, options: { org?: string }): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  showOrg(context, (await door.getOrg({ org })).org!);
}

function showOrg(context: CommandContext, org: Org): void {
  context.output.result({ org: orgDocument(org) }, () => orgLines(org));
}

function orgLines(org: Org): string[] {
  const rows: [string, string][] = [
    ['slug', org.slug],
    ['id', org.id],
    ['status', org.status],
    ['owner', org.ownerEmail],
    ['plan', org.billingStatus === 'none' ? org.plan : `${org.plan} (billing: ${org.billingStatus})`],
    ['members', String(org.members)],
    ['single sign-on', org.settings?.ssoEnabled === true ? 'on' : 'off'],
    ['history', HISTORY_LINES[org.settings?.history ?? ''] ?? 'unknown'],
    ['events', EVENT_LINES[org.settings?.messageEvents ?? ''] ?? 'unknown'],
    ['created', minute(org.createdAtMs)],
    ...(org.deletedAtMs === 0 ? [] : [['deleted', minute(org.deletedAtMs)] as [string, string]]),
  ];
  return [visible(org.name), ...rows.map(([name, value]) => `  ${name.padEnd(15)} ${visible(value)}`)];
}

/** Without a mode it shows; with one it holds for what is sent from now on. */
function choice(key: 'history' | 'messageEvents', shown: string, lines: Readonly<Record<string, string>>) {
  return async (context: CommandContext, _options: object, mode: string | undefined): Promise<void> => {
    const { door } = await context.orgDoor();
    const { org: found } = await door.getOrg({});
    const { version } = found!;
    const org = mode === undefined ? found! : (await door.updateOrg({ version, [key]: mode })).org!;
    const chosen = org.settings?.[key] ?? '';
    context.output.result({ [shown]: chosen }, () => lines[chosen] ?? visible(chosen));
  };
}

interface CreateOptions {
  readonly slug?: string;
  readonly plan?: string;
  readonly ownerEmail?: string;
  readonly contextName?: string;
}

async function create(context: CommandContext, options: CreateOptions, name: string): Promise<void> {
  const folder = context.config.folders.config;
  const { contextName, slug = '', plan = '', ownerEmail = '' } = options;
  if (contextName !== undefined) await checkFreeContext(folder, contextName);
  const { endpoints } = await context.context();
  prepareAccess(folder);
  const door = ownerEmail === '' ? (await context.hub()).org : await context.operator();
  const made = await door.createOrg({ name, slug, plan, ownerEmail });
  const org = made.org!;
  const access = { org: org.id, apiKey: made.secret, endpoints };
  const saved = await saveAccess(folder, contextName ?? org.slug, access);
  const document = { org: orgDocument(org), context: saved.context, api_key_file: saved.keyFile };
  context.output.result(document, () => [
    `${visible(org.name)} is made (slug ${org.slug}, plan ${org.plan}); ${visible(org.ownerEmail)} owns it`,
    `its key is in ${saved.keyFile}; act in it with: npx fleetwire org use ${saved.context}`,
    `or for one command: --context ${saved.context}`,
  ]);
}

async function use(context: CommandContext, _options: object, name: string | undefined): Promise<void> {
  const folder = context.config.folders.config;
  if (name === undefined) {
    const names = await contextNames(folder);
    const current = context.contextName;
    return context.output.result({ current, contexts: names }, () =>
      names.map((each) => `${each === current ? '*' : ' '} ${each}`),
    );
  }
  const chosen = await loadContext(folder, name);
  await chooseContext(folder, name);
  const { named } = context;
  context.output.result({ context: name, org: chosen.org }, () => [
    `commands act in ${name} from now on`,
    ...(named === undefined || named === name ? [] : [`except where ${named} is named, as it is here`]),
  ]);
}

interface UpdateOptions {
  readonly name?: string;
  readonly slug?: string;
  readonly sso?: boolean;
}

async function update(context: CommandContext, options: UpdateOptions): Promise<void> {
  const { name, slug, sso } = options;
  if (name === undefined && slug === undefined && sso === undefined)
    throw nothingToChange('--name, --slug, --sso');
  const { door } = await context.orgDoor();
  const { version } = (await door.getOrg({})).org!;
  const settings = sso === undefined ? {} : { settings: { ssoEnabled: sso } };
  const { org } = await door.updateOrg({ version, name, slug, ...settings });
  showOrg(context, org!);
}

/** An update that changes nothing is a slip. */
export const nothingToChange = (options: string) =>
  new FleetwireError('invalid_argument', 'INVALID_USAGE', 'there is nothing to change', {
    help: `Give at least one of ${options}.`,
  });

async function transfer(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const { door } = await context.orgDoor();
  const { user, email } = await findMember(door, wanted);
  await door.transferOwnership({ user });
  context.output.result({ owner: user, email }, () => `${visible(email)} is the owner now; you are an admin`);
}

async function remove(context: CommandContext, options: { confirm: string; org?: string }): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const { org: deleted } = await door.deleteOrg({ org, confirmSlug: options.confirm });
  context.output.result({ org: orgDocument(deleted!) }, () => [
    `${visible(deleted!.name)} is being deleted; its keys and tokens are refused from now on`,
    'the operator of the fabric can restore it within 30 days',
  ]);
}

async function list(context: CommandContext, options: { status?: string }): Promise<void> {
  const door = await context.operator();
  const { status = '' } = options;
  const orgs = await allRows(
    (page) => door.listOrgs({ status, ...page }),
    (page) => page.orgs,
  );
  context.output.result({ orgs: orgs.map(orgDocument) }, () =>
    table(
      ['SLUG', 'STATUS', 'PLAN', 'MEMBERS', 'OWNER', 'CREATED', 'ID'],
      orgs.map((o) => [
        o.slug,
        o.status,
        o.plan,
        String(o.members),
        o.ownerEmail,
        minute(o.createdAtMs),
        o.id,
      ]),
    ),
  );
}

async function restore(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const door = await context.operator();
  showOrg(context, (await door.restoreOrg({ org: wanted })).org!);
}
