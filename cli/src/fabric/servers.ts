/** The broker and the database under a fabric: servers outside when they are given, else our own children. */

import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '@fleetwire/contract';
import {
  findNatsServer,
  makePrivateFolder,
  startNatsServer,
  startPostgres,
  superviseChild,
} from '@fleetwire/embedded';
import { natsServerConfig } from '@fleetwire/identity';
import { asFleetwireError } from '@fleetwire/kernel';
import { type CliConfig, searchPath } from '../config.ts';
import { type FabricPorts, type FabricRecord, fabricFolder } from './fabric-record.ts';

export interface Servers {
  readonly natsUrl: string;
  readonly databaseUrl: string;
  /** For people: what runs where. */
  readonly about: NonNullable<FabricRecord['about']>;
  stop(): Promise<void>;
}

/** Our own server always keeps orgs apart; the switch is for servers outside. */
export const isSingleTenant = (config: CliConfig): boolean =>
  config.outsideNats !== undefined && config.nats.single_tenant;

type Report = (line: string) => void;

export async function startServers(
  config: CliConfig,
  ports: FabricPorts,
  keys: string,
  report: Report,
): Promise<Servers> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  const own = [
    ...(config.outsideDatabase === undefined ? ['PostgreSQL'] : []),
    ...(config.outsideNats === undefined ? ['nats-server'] : []),
  ];
  // Missing programs are told before anything is started.
  if (config.outsideNats === undefined) findNatsServer(config.nats.server, searchPath());
  if (own.length > 0) report(`starting ${own.join(' and ')}`);
  try {
    const database = config.outsideDatabase ?? (await ownDatabase(config, ports, stops, report));
    const nats = config.outsideNats ?? (await ownNats(config, ports, keys, stops, report));
    const outside = isSingleTenant(config) ? 'outside, single tenant' : 'outside';
    const about = {
      nats: config.outsideNats === undefined ? `own, port ${ports.nats}` : outside,
      postgres: config.outsideDatabase === undefined ? `own, port ${ports.postgres}` : 'outside',
      web: `http://${config.up.host}:${ports.web}`,
    };
    return { natsUrl: nats, databaseUrl: database, about, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Deaths and restarts are told in one line each; what they mean for messages is nothing, but somebody should know. */
function supervision(name: string, report: Report) {
  return {
    onExit: (exit: { code: number | null; signal: string | null }) =>
      report(`${name} has ended (${exit.signal ?? `code ${exit.code}`}); starting it again`),
    onRestart: () => report(`${name} is back`),
    onStartFailed: (error: unknown, retryMs: number) =>
      report(
        `${name} does not start: ${asFleetwireError(error).message}; next try in ${Math.ceil(retryMs / 1000)} s`,
      ),
  };
}

async function ownDatabase(
  config: CliConfig,
  ports: FabricPorts,
  stops: (() => Promise<void>)[],
  report: Report,
) {
  const dir = join(fabricFolder(config.folders.data), 'postgres');
  const child = superviseChild(
    () => startPostgres({ dir, port: ports.postgres, database: 'fleetwire' }),
    supervision('PostgreSQL', report),
  );
  stops.push(child.stop);
  return (await child.ready).url;
}

async function ownNats(
  config: CliConfig,
  ports: FabricPorts,
  keys: string,
  stops: (() => Promise<void>)[],
  report: Report,
) {
  const dir = join(fabricFolder(config.folders.data), 'nats');
  makePrivateFolder(dir);
  const configFile = join(dir, 'nats-server.conf');
  const text = await natsServerConfig(keys, {
    host: config.up.host,
    port: ports.nats,
    storeDir: join(dir, 'store'),
    resolverDir: join(dir, 'accounts'),
    serverName: 'fleetwire',
    maxPayload: LIMITS.serverMaxPayload,
  });
  await writeFile(configFile, text, { mode: 0o600 });
  await chmod(configFile, 0o600);
  const child = superviseChild(
    () =>
      startNatsServer({
        configFile,
        dir,
        searchPath: searchPath(),
        ...(config.nats.server === undefined ? {} : { binary: config.nats.server }),
      }),
    supervision('nats-server', report),
  );
  stops.push(child.stop);
  return (await child.ready).url;
}
