/** A real nats-server as child process. */

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { FleetwireError, pause } from '@fleetwire/kernel';
import type { ChildExit, ChildServer, SpawnedChild } from './child.ts';
import { spawnChild, startFailure } from './child.ts';
import { findNatsServer, natsServerMissing } from './nats-binary.ts';
import { type NatsGreeting, readGreeting } from './nats-greeting.ts';

/** Recovery of large streams takes a while. */
const START_MS = 60_000;

export interface NatsServerOptions {
  /** Path or name of the program; looked up in `searchPath` and the usual places. */
  readonly binary?: string | undefined;
  /** Like PATH. */
  readonly searchPath?: string | undefined;
  readonly configFile: string;
  /** Gets its log, its ports file and the record of its pid. */
  readonly dir: string;
  /** The child's environment; empty by default. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface NatsServer extends ChildServer {
  readonly version: string;
  /** `http://...` when the configuration opens the monitoring port. */
  readonly monitorUrl: string | undefined;
}

/**
 * Resolves when the server accepts clients and its JetStream is recovered (it listens only after that).
 * Rejects failed_precondition: NATS_SERVER_MISSING, PORT_IN_USE, NATS_WITHOUT_JETSTREAM, NATS_START_FAILED.
 */
export async function startNatsServer(o: NatsServerOptions): Promise<NatsServer> {
  const binary = findNatsServer(o.binary, o.searchPath);
  const dir = resolve(o.dir);
  mkdirSync(dir, { recursive: true, mode: 0o711 });
  const child = await spawnNats(binary, dir, o);
  let exit: ChildExit | undefined;
  void child.exited.then((e) => {
    exit = e;
  });
  const deadline = performance.now() + START_MS;
  while (exit === undefined && performance.now() < deadline) {
    const ports = readPorts(dir, child.pid);
    const info = ports === undefined ? undefined : await readGreeting(ports);
    if (ports !== undefined && info !== undefined) return running(child, ports, info);
    await pause(5);
  }
  if (exit === undefined) await child.stop();
  throw startFailure('nats-server', 'NATS_START_FAILED', child.tail(), exit);
}

async function spawnNats(binary: string, dir: string, o: NatsServerOptions): Promise<SpawnedChild> {
  try {
    return await spawnChild({
      name: 'nats-server',
      binary,
      args: ['--config', resolve(o.configFile), '--ports_file_dir', dir],
      dir,
      env: o.env ?? {},
      signals: ['SIGTERM', 'SIGKILL'],
    });
  } catch (error) {
    if (error instanceof FleetwireError && error.reason === 'CHILD_NOT_STARTED')
      throw natsServerMissing(binary, error.cause);
    throw error;
  }
}

interface Ports {
  readonly host: string;
  readonly port: number;
  readonly monitorUrl: string | undefined;
}

async function running(child: SpawnedChild, ports: Ports, info: NatsGreeting): Promise<NatsServer> {
  if (info.jetstream !== true) {
    await child.stop();
    throw new FleetwireError(
      'failed_precondition',
      'NATS_WITHOUT_JETSTREAM',
      'nats-server runs without JetStream',
      {
        help: 'Add a jetstream block to its configuration.',
      },
    );
  }
  return {
    pid: child.pid,
    port: ports.port,
    url: `nats://${ports.host}:${ports.port}`,
    logFile: child.logFile,
    exited: child.exited,
    version: info.version,
    monitorUrl: ports.monitorUrl,
    stop: child.stop,
    unref: child.unref,
  };
}

/** `<program>_<pid>.ports`, which the server writes when it listens; undefined until it is there and whole. */
function readPorts(dir: string, pid: number): Ports | undefined {
  const name = readdirSync(dir).find((file) => file.endsWith(`_${pid}.ports`));
  if (name === undefined) return undefined;
  try {
    const listed = JSON.parse(readFileSync(join(dir, name), 'utf8')) as {
      nats?: string[];
      monitoring?: string[];
    };
    const url = listed.nats?.[0];
    if (url === undefined) return undefined;
    const { hostname, port } = new URL(url.replace(/^\w+:/, 'http:'));
    return { host: hostname, port: Number(port), monitorUrl: listed.monitoring?.[0] };
  } catch {
    return undefined;
  }
}
