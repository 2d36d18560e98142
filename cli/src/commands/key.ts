/** key create | list | revoke: API keys, with which people and programs come in. */

import type { ApiKey } from '@fleetwire/gen/org';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { duration, words } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { allKeys, keyId, MEMBER_OPTION, userId } from '../lookup.ts';
import { keyDocument } from '../org-documents.ts';
import { ago, minute, table, visible } from '../output.ts';

export function addKeyCommands(program: Command, action: Action): void {
  const key = program.command('key').description('API keys');
  key
    .command('create')
    .description('make a key of your own; it is shown once')
    .argument('<name>', 'what it is for')
    .requiredOption('--scope <scopes>', 'any of admin, account, send, read, node-join, between commas', words)
    .option('--expires-in <time>', 'such as 30d; without it: no end', duration('--expires-in', '1m', '3650d'))
    .option('-q, --quiet', 'print the key alone')
    .action(action(create));
  key
    .command('list')
    .description('your keys; for admins: all of the org')
    .option(...MEMBER_OPTION)
    .action(action(list));
  key
    .command('revoke')
    .description('make a key worth nothing, and within seconds all tokens made of it')
    .argument('<key>', 'by its name or id')
    .action(action(revoke));
}

interface CreateOptions {
  readonly scope: readonly string[];
  readonly expiresIn?: number;
  readonly quiet?: boolean;
}

async function create(context: CommandContext, options: CreateOptions, name: string): Promise<void> {
  const { door } = await context.orgDoor();
  const expiresAtMs = options.expiresIn === undefined ? 0 : Date.now() + options.expiresIn;
  const { key, secret } = await door.createApiKey({ name, scopes: [...options.scope], expiresAtMs });
  context.output.result({ key: keyDocument(key!), secret }, () => {
    if (options.quiet === true) return secret;
    const end = key!.expiresAtMs === 0 ? 'has no end' : `ends ${minute(key!.expiresAtMs)}`;
    return [
      secret,
      `${visible(key!.name)} may ${key!.scopes.join(', ')} and ${end}; it is not shown again`,
      'use it with: FLEETWIRE_API_KEY=KEY',
    ];
  });
}

async function list(context: CommandContext, options: { member?: string }): Promise<void> {
  const { door } = await context.orgDoor();
  const user = await userId(door, options.member);
  const keys = await allKeys(door, { user });
  context.output.result({ keys: keys.map(keyDocument) }, () =>
    table(
      ['NAME', 'KEY', 'SCOPES', 'STATE', 'LAST USED', 'USER', 'ID'],
      keys.map((k) => [
        k.name,
        `${k.prefix}…`,
        k.scopes.join(','),
        stateOf(k),
        ago(k.lastUsedAtMs),
        k.user,
        k.id,
      ]),
    ),
  );
}

function stateOf(key: ApiKey): string {
  if (key.revokedAtMs !== 0) return 'revoked';
  if (key.expiresAtMs === 0) return 'good';
  return key.expiresAtMs <= Date.now() ? 'expired' : `until ${minute(key.expiresAtMs)}`;
}

async function revoke(context: CommandContext, _options: object, wanted: string): Promise<void> {
  const { door } = await context.orgDoor();
  const id = await keyId(door, wanted);
  await door.revokeApiKey({ id });
  context.output.result({ id, revoked: true }, () => `${visible(wanted)} is revoked`);
}
