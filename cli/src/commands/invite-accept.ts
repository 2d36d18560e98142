/** invite accept: joining an org by the link of an invite, on a machine that may know of no fabric yet. */

import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { chooseContext, chosenContext } from '../chosen-context.ts';
import type { CommandContext } from '../command-context.ts';
import { type Context, checkContextName, contextNames, DEFAULT_CONTEXT } from '../context.ts';
import { type Accepted, acceptInvite, checkLink, lookAtInvite } from '../invite-link.ts';
import { visible } from '../output.ts';
import { checkFreeContext, prepareAccess, saveAccess } from '../saved-access.ts';

export function addAcceptCommand(invite: Command, action: Action): void {
  invite
    .command('accept')
    .description('join an org by the link of an invite, and keep your key as a context of this machine')
    .argument('<link>')
    .requiredOption('--email <address>', 'the address that was invited; of a link for anybody: your own')
    .option('--context-name <name>', 'keep it as this context; the slug of the org when left out')
    .action(action(accept));
}

async function accept(
  context: CommandContext,
  options: { email: string; contextName?: string },
  given: string,
): Promise<void> {
  const folder = context.config.folders.config;
  const link = checkLink(given);
  if (options.contextName !== undefined) await checkFreeContext(folder, options.contextName);
  // What can fail is found out before the invite is spent.
  const name = options.contextName ?? (await lookAtInvite(link)).org_slug;
  checkContextName(name);
  prepareAccess(folder);
  const accepted = await acceptInvite(link, options.email);
  const endpoints = endpointsOf(accepted, await context.context().catch(() => undefined));
  const saved = await saveAccess(folder, name, { org: accepted.org, apiKey: accepted.api_key, endpoints });
  const isFirst = saved.context !== undefined && (await chooseFirst(folder, saved.context));
  const { org, org_slug, org_name, user, role } = accepted;
  const document = {
    org,
    org_slug,
    org_name,
    user,
    role,
    context: saved.context ?? null,
    chosen: isFirst,
    api_key_file: saved.keyFile,
  };
  context.output.result(document, () => [
    `welcome to ${visible(org_name)}: you are ${role === 'admin' ? 'an admin' : 'a member'} now`,
    `your key is in ${saved.keyFile}`,
    ...(saved.context === undefined ? NO_ENDPOINTS : useLines(saved.context, isFirst)),
  ]);
}

/**
 * On a machine that knows no other fabric and has chosen nothing, commands act in the new context from now on. False:
 * it was left at what there is.
 */
export async function chooseFirst(configFolder: string, name: string): Promise<boolean> {
  if (chosenContext(configFolder) !== undefined) return false;
  const names = await contextNames(configFolder);
  if (name !== DEFAULT_CONTEXT && names.includes(DEFAULT_CONTEXT)) return false;
  await chooseContext(configFolder, name);
  return true;
}

const useLines = (name: string, isFirst: boolean) =>
  isFirst
    ? [`commands act in it from now on (context ${name})`]
    : [`act in it with: npx fleetwire org use ${name}`, `or for one command: --context ${name}`];

const NO_ENDPOINTS = [
  'the fabric did not say where its services are: ask for the addresses, and write a context as in docs/operations.md',
];

/**
 * Those of the answer; where it leaves some out, those of the present context, unless that is of another fabric.
 * Undefined: nobody knows.
 */
export function endpointsOf(
  { endpoints }: Pick<Accepted, 'endpoints'>,
  present: Pick<Context, 'endpoints'> | undefined,
): Context['endpoints'] | undefined {
  if (Object.values(endpoints).every((address) => address !== '')) return endpoints;
  if (present === undefined) return undefined;
  const same = endpoints.org === '' || endpoints.org === present.endpoints.org;
  return same ? present.endpoints : undefined;
}
