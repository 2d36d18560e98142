/** subscription …: places in streams of the org for programs of one's own, with the credentials to follow them. */

import type { OpenSubscriptionResponse, Subscription } from '@fleetwire/gen/registry';
import { createNodeKey, credsText, publicNodeKey, seedInCreds } from '@fleetwire/identity';
import { FleetwireError, printable } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { duration } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { putFile, textIfThere, unwritable } from '../files.ts';
import { isoOrNull, minute, table } from '../output.ts';
import type { SubscriberKey } from '../subscriber-key.ts';
import { subscriptionDocument } from '../subscription-documents.ts';
import { type AskOptions, askedOf, checkWhat, placeName, WHAT, withAskOptions } from './subscribe.ts';

export function addSubscriptionCommands(program: Command, action: Action): void {
  const group = program.command('subscription').description('places in streams that programs follow by NATS');
  const create = group
    .command('create')
    .description('make a place, or renew its credentials, and write them to a .creds file')
    .argument('<what>', WHAT)
    .argument('<name>', '1 to 32 lowercase letters, digits and hyphens', placeName('name'))
    .option('--out <file>', 'where to; one that is there is renewed (default: WHAT-NAME.creds)')
    .option('--ttl <time>', 'how long the credentials are good, like 12h', duration('--ttl', '60s', '7d'));
  withAskOptions(create).action(action(open));
  group.command('list').description('all that you may see').action(action(list));
  group
    .command('close')
    .description('forget the place; its credentials are refused at once')
    .argument('<what>', WHAT)
    .argument('<name>', 'as it was made')
    .action(action(close));
}

async function open(
  context: CommandContext,
  options: AskOptions & { readonly out?: string; readonly ttl?: number },
  given: string,
  name: string,
): Promise<void> {
  const what = checkWhat(given);
  const file = options.out ?? `${what}-${name}.creds`;
  const key = (await keyOf(file)) ?? createNodeKey();
  const { registry } = await context.hub();
  const ttlS = Math.ceil((options.ttl ?? 0) / 1000);
  const opened = await registry.openSubscription({
    ...askedOf(what, name, options),
    publicKey: key.publicKey,
    ttlS,
  });
  const { userJwt } = opened;
  if (userJwt !== '')
    await putFile(file, credsText(userJwt, key.seed)).catch((cause: unknown) => {
      throw unwritable(file, cause);
    });
  const creds = userJwt === '' ? null : file;
  context.output.result(
    {
      subscription: subscriptionDocument(opened.subscription!),
      resumed: opened.resumed,
      creds,
      expires_at: isoOrNull(opened.userJwtExpiresAtMs),
      nats_urls: opened.natsUrls,
      inbox_prefix: opened.inboxPrefix,
      jetstream_domain: opened.jetstreamDomain,
    },
    () => toldOf(opened, creds),
  );
}

function toldOf(opened: OpenSubscriptionResponse, creds: string | null): string[] {
  const { stream, consumer } = opened.subscription!;
  const [url = ''] = opened.natsUrls;
  const access = creds === null ? '' : ` --creds ${creds} --js-domain ${opened.jetstreamDomain}`;
  return [
    `${opened.resumed ? 'goes on' : 'made'}: pull from ${stream} ${consumer}, acknowledge each message`,
    ...(creds === null ? [] : [`credentials in ${creds} until ${minute(opened.userJwtExpiresAtMs)}`]),
    `nats --server ${url}${access} --inbox-prefix ${opened.inboxPrefix} consumer next ${stream} ${consumer} --ack`,
  ];
}

const CREDS_BYTES_MAX = 64 * 1024;

/**
 * Of a creds file that is there: it is renewed. Undefined: there is none. Rejects what `readText` rejects, and
 * failed_precondition KEY_FILE_DAMAGED for another file, which is not to be overwritten.
 */
async function keyOf(file: string): Promise<SubscriberKey | undefined> {
  const text = await textIfThere(file, CREDS_BYTES_MAX);
  if (text === undefined) return undefined;
  const seed = await seedInCreds(text);
  const publicKey = seed === undefined ? undefined : publicNodeKey(seed);
  if (seed !== undefined && publicKey !== undefined) return { seed, publicKey };
  throw new FleetwireError('failed_precondition', 'KEY_FILE_DAMAGED', `${printable(file)} is no creds file`, {
    help: 'Name another file with --out, or remove this one.',
  });
}

async function list(context: CommandContext): Promise<void> {
  const { registry } = await context.hub();
  const { subscriptions } = await registry.listSubscriptions({});
  const row = (s: Subscription) => [
    s.what,
    s.name,
    s.owner,
    s.lapsed ? 'lapsed' : String(s.pending),
    String(s.ackPending),
    minute(s.openedAtMs),
    s.filter,
  ];
  context.output.result({ subscriptions: subscriptions.map(subscriptionDocument) }, () =>
    subscriptions.length === 0
      ? 'none'
      : table(['WHAT', 'NAME', 'OWNER', 'WAITING', 'UNACKED', 'OPENED', 'FILTER'], subscriptions.map(row)),
  );
}

async function close(context: CommandContext, _options: object, given: string, name: string): Promise<void> {
  const what = checkWhat(given);
  await (await context.hub()).registry.closeSubscription({ name, what });
  context.output.result({ closed: { name, what } }, () => `closed ${name}`);
}
