/** What a fabric on this machine remembers in its folder: its ports, so that nodes find it again, and what it runs on. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  freePort,
  identityOf,
  lockHolder,
  makeFolder,
  type ProcessIdentity,
  portIsFree,
} from '@fleetwire/embedded';
import { FleetwireError } from '@fleetwire/kernel';
import { putFile } from '../files.ts';

const PARTS = ['nats', 'postgres', 'org', 'registry', 'router', 'delivery', 'hub', 'web'] as const;
type Part = (typeof PARTS)[number];
export type FabricPorts = Readonly<Record<Part, number>>;
/** Parts that records of earlier releases know nothing of. */
const LATER: readonly Part[] = ['web'];

export interface FabricRecord {
  /** All of them, or those of an earlier release; see `choosePorts`. */
  readonly ports: Partial<FabricPorts>;
  /** The process in which everything is ready; absent while it starts. */
  readonly ready?: ProcessIdentity;
  /** Which servers it runs on, for people; no secrets. */
  readonly about?: {
    readonly nats: string;
    readonly postgres: string;
    /** Where invite links and billing webhooks are answered. */
    readonly web?: string;
  };
  /** Nothing keeps orgs apart. */
  readonly single_tenant?: boolean;
  /** The version of a nats-server that does not keep acknowledgements of orgs apart. */
  readonly one_org_nats?: string;
}

export const fabricFolder = (dataFolder: string) => join(dataFolder, 'fabric');
const fileOf = (dataFolder: string) => join(fabricFolder(dataFolder), 'fabric.json');

/** Undefined when there is none yet. Throws failed_precondition FABRIC_RECORD_UNREADABLE. */
export async function readFabric(dataFolder: string): Promise<FabricRecord | undefined> {
  const file = fileOf(dataFolder);
  try {
    const record = JSON.parse(await readFile(file, 'utf8')) as FabricRecord;
    const usable = (port: unknown) => Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536;
    const absent = (part: Part) => LATER.includes(part) && record.ports?.[part] === undefined;
    const bad = PARTS.filter((part) => !absent(part) && !usable(record.ports?.[part]));
    if (bad.length > 0) throw new Error(`no usable port for ${bad.join(', ')}`);
    return record;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FleetwireError(
      'failed_precondition',
      'FABRIC_RECORD_UNREADABLE',
      `cannot use ${file}: ${why}`,
      { help: 'Correct it, or remove it to get new ports; the data is not in it.', details: { file }, cause },
    );
  }
}

/** Was a fabric ever started here? Never rejects: a record that cannot be read is one. */
export const hasFabric = (dataFolder: string): Promise<boolean> =>
  readFabric(dataFolder).then(
    (record) => record !== undefined,
    () => true,
  );

export async function writeFabric(dataFolder: string, record: FabricRecord): Promise<void> {
  const file = fileOf(dataFolder);
  makeFolder(fabricFolder(dataFolder));
  await putFile(file, `${JSON.stringify(record, null, 2)}\n`);
}

/** The process that holds the fabric's folder; undefined when it does not run. */
export const fabricProcess = (dataFolder: string): ProcessIdentity | undefined =>
  lockHolder(fabricFolder(dataFolder));

/** True when the fabric's process runs and everything in it is ready; a record that a crash left says nothing. */
export async function isFabricReady(dataFolder: string): Promise<boolean> {
  const holder = fabricProcess(dataFolder);
  if (holder === undefined) return false;
  const ready = (await readFabric(dataFolder))?.ready;
  return ready?.pid === holder.pid && ready.started === holder.started;
}

export const thisProcess = (): ProcessIdentity => identityOf(process.pid)!;

/** Ports that were free at the first start and stay the same ever after: the known ones, and new ones for the rest. */
export async function choosePorts(known: Partial<FabricPorts> = {}): Promise<FabricPorts> {
  const ports: Partial<Record<Part, number>> = { ...known };
  for (const part of PARTS) {
    if (ports[part] !== undefined) continue;
    do ports[part] = await freePort();
    while (PARTS.some((other) => other !== part && ports[other] === ports[part]));
  }
  return ports as FabricPorts;
}

/** Throws failed_precondition PORT_IN_USE, naming the first of `parts` whose port somebody else listens on. */
export async function checkPorts(
  dataFolder: string,
  ports: FabricPorts,
  hostOf: (part: Part) => string | undefined,
): Promise<void> {
  for (const part of PARTS) {
    const host = hostOf(part);
    const port = ports[part];
    if (host === undefined || (await portIsFree(port, host))) continue;
    throw new FleetwireError(
      'failed_precondition',
      'PORT_IN_USE',
      `another program listens on ${host}:${port}, the port of ${part}`,
      {
        help: `End that program, or write another port for ${part} into ${fileOf(dataFolder)}.`,
        details: { part, port: String(port) },
      },
    );
  }
}
