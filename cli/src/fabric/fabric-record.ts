/** What a fabric on this machine remembers in its folder: its ports, so that nodes find it again. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, lockHolder, type ProcessIdentity } from '@fleetwire/embedded';

export interface FabricPorts {
  readonly nats: number;
  readonly postgres: number;
  readonly org: number;
  readonly registry: number;
  readonly router: number;
  readonly delivery: number;
  readonly hub: number;
}

export interface FabricRecord {
  readonly ports: FabricPorts;
  /** Pid of the process in which everything is ready. */
  readonly ready_pid?: number;
}

export const fabricFolder = (dataFolder: string) => join(dataFolder, 'fabric');
const fileOf = (dataFolder: string) => join(fabricFolder(dataFolder), 'fabric.json');

export async function readFabric(dataFolder: string): Promise<FabricRecord | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(dataFolder), 'utf8')) as FabricRecord;
  } catch {
    return undefined;
  }
}

export async function writeFabric(dataFolder: string, record: FabricRecord): Promise<void> {
  const file = fileOf(dataFolder);
  await mkdir(fabricFolder(dataFolder), { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** The process that holds the fabric's folder; undefined when it does not run. */
export const fabricProcess = (dataFolder: string): ProcessIdentity | undefined =>
  lockHolder(fabricFolder(dataFolder));

/** True when the fabric's process runs and everything in it is ready. */
export async function isFabricReady(dataFolder: string): Promise<boolean> {
  const holder = fabricProcess(dataFolder);
  return holder !== undefined && (await readFabric(dataFolder))?.ready_pid === holder.pid;
}

/** Ports that were free at the first start and stay the same ever after. */
export async function choosePorts(): Promise<FabricPorts> {
  const names = ['nats', 'postgres', 'org', 'registry', 'router', 'delivery', 'hub'] as const;
  const ports: Record<string, number> = {};
  for (const name of names) {
    do ports[name] = await freePort();
    while (names.some((other) => other !== name && ports[other] === ports[name]));
  }
  return ports as unknown as FabricPorts;
}
