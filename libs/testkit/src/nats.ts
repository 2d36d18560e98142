/** A real nats-server for one test. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NatsServer } from '@fleetwire/embedded';
import { freePort, logTail, startNatsServer } from '@fleetwire/embedded';
import type { TempFolder } from './temp-folder.ts';
import { tempFolder } from './temp-folder.ts';

export interface TestNatsOptions {
  /** Path of the program; default: FLEETWIRE_NATS_SERVER, else the one installed. */
  readonly binary?: string | undefined;
  /** The whole configuration, given the folder and the port to use; default: JetStream, no credentials. */
  readonly config?: (place: { readonly dir: string; readonly port: number }) => string | Promise<string>;
}

export interface TestNats extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  readonly server: NatsServer;
  /** The end of the server's log. */
  log(): string;
  /** Ends the server with SIGKILL, as a crash would, and resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder. */
  restart(): Promise<void>;
  /** Keeps the folder with logs and data beyond the test. */
  keep(): void;
}

/** Started with JetStream in a temporary folder on a free port; disposing ends it and removes the folder. */
export async function startTestNats(o: TestNatsOptions = {}): Promise<TestNats> {
  const folder = tempFolder('nats');
  try {
    return await startIn(folder, o);
  } catch (error) {
    folder.keep();
    throw error;
  }
}

async function startIn(folder: TempFolder, o: TestNatsOptions): Promise<TestNats> {
  const configFile = join(folder.path, 'nats.conf');
  const binary = o.binary ?? process.env['FLEETWIRE_NATS_SERVER'];
  const start = async (port: number) => {
    const place = { dir: folder.path, port };
    writeFileSync(configFile, await (o.config ?? plainConfig)(place), { mode: 0o600 });
    return startNatsServer({ binary, searchPath: process.env['PATH'], configFile, dir: folder.path });
  };
  let server = await start(await freePort());
  return {
    url: server.url,
    port: server.port,
    dir: folder.path,
    get server() {
      return server;
    },
    log: () => logTail(server.logFile),
    kill: async () => {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
    },
    restart: async () => {
      await server.stop();
      server = await start(server.port);
    },
    keep: folder.keep,
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** JetStream without credentials on 127.0.0.1, as a plain single-tenant server. */
export function plainConfig(place: { readonly dir: string; readonly port: number }): string {
  return [
    'host: 127.0.0.1',
    `port: ${place.port}`,
    'max_payload: 2097152',
    `jetstream { store_dir: ${JSON.stringify(join(place.dir, 'jetstream'))} }`,
    '',
  ].join('\n');
}
