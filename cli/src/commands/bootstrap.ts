/** bootstrap: keys, made and changed, and the configuration of NATS servers that run elsewhere. */

import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LIMITS } from '@fleetwire/contract';
import { makeFolder } from '@fleetwire/embedded';
import { ensureKeys, natsServerConfig, rotateTokenKey } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import { type Command, Option } from 'commander';
import type { Action } from '../action.ts';
import { wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { keysFolderOf } from '../operator.ts';

export function addBootstrapCommand(program: Command, action: Action): void {
  program
    .command('bootstrap')
    .description('make the keys of a fabric and print the nats-server configuration for them')
    .option('--out <file>', 'write the configuration to a file instead')
    .option('--host <address>', 'address that the NATS server listens on', '0.0.0.0')
    .option('--port <port>', 'port that the NATS server listens on', wholeNumber('--port', 1, 65_535), 4222)
    .option('--store <folder>', 'where the NATS server keeps its streams', '/var/lib/nats')
    .option('--apply', 'create accounts, streams and consumers on the servers of FLEETWIRE_NATS_URL')
    .addOption(
      new Option(
        '--rotate-keys <service>',
        'give a service, or `operator`, another key for its tokens',
      ).conflicts(['apply', 'out']),
    )
    .option(
      '--immediately',
      'with --rotate-keys: the key leaked; what it signed is worth nothing from now on',
    )
    .action(action(bootstrap));
}

interface BootstrapOptions {
  readonly out?: string;
  readonly host: string;
  readonly port: number;
  readonly store: string;
  readonly apply?: boolean;
  readonly rotateKeys?: string;
  readonly immediately?: boolean;
}

async function bootstrap(context: CommandContext, options: BootstrapOptions): Promise<void> {
  const { config, output } = context;
  const keys = keysFolderOf(config);
  const { rotateKeys: service, immediately = false } = options;
  if (service !== undefined) return rotate(context, keys, service, immediately);
  if (immediately)
    throw new FleetwireError('invalid_argument', 'INVALID_USAGE', '--immediately goes with --rotate-keys', {
      help: 'Name the service whose key leaked: --rotate-keys SERVICE --immediately',
    });
  // `up` may follow on the same folder, whose PostgreSQL has to pass.
  makeFolder(dirname(keys));
  await ensureKeys(keys, { services: ['org', 'registry', 'router', 'delivery'] });
  if (options.apply === true) {
    const natsUrls = config.nats.url.split(',').map((url) => url.trim());
    const { bootstrapFabric } = await import('@fleetwire/runtime');
    await bootstrapFabric({ keysDir: keys, natsUrls, singleTenant: config.nats.single_tenant });
    return output.result({ keys, applied: true }, () => 'accounts, streams and consumers are there');
  }
  const text = await natsServerConfig(keys, {
    host: options.host,
    port: options.port,
    storeDir: join(options.store, 'store'),
    resolverDir: join(options.store, 'accounts'),
    serverName: 'fleetwire',
    maxPayload: LIMITS.serverMaxPayload,
  });
  if (options.out !== undefined) await writeFile(options.out, text, { mode: 0o600 });
  output.progress(`keys are in ${keys}; then run: fleetwire bootstrap --apply`);
  output.result({ keys, nats_config: options.out ?? text }, () => options.out ?? text);
}

/** Of the keys that are there: a mistaken folder gets no keys. */
async function rotate({ output }: CommandContext, keys: string, service: string, immediately: boolean) {
  const { kid, activeFromMs, former } = await rotateTokenKey(keys, service, { immediately });
  const document = {
    keys,
    service,
    kid,
    active_from_ms: activeFromMs,
    former: former.map((key) => ({ kid: key.kid, believed_until_ms: key.believedUntilMs ?? null })),
  };
  const time = (ms: number) => new Date(ms).toISOString();
  output.result(document, () => [
    immediately
      ? `${service} signs with ${kid} now`
      : `${service} signs with ${kid} from ${time(activeFromMs)} on`,
    ...former.map((key) =>
      key.believedUntilMs === undefined
        ? `${key.kid} is believed no longer`
        : `${key.kid} is believed until ${time(key.believedUntilMs)}`,
    ),
  ]);
}
