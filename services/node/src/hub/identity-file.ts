/** Files of the node's folder, 0600: who the node is, what the hub last told it, and how local programs find it. */

import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';

/** An NKEY pair; the seed never leaves this machine. */
export interface NodeKeyPair {
  readonly seed: string;
  readonly publicKey: string;
}

export interface NodeIdentity extends NodeKeyPair {
  /** Empty until the node has joined. */
  readonly node: string;
  readonly org: string;
  readonly name: string;
  /** Where it joined; used when the configuration names no registry. */
  readonly registry: string;
  /** From which the tokens of this node's agents are derived, base64url. */
  readonly agentSecret: string;
  /** Public NKEY by which the hub proves itself; not there until a hub has named one. */
  readonly hubKey?: string;
  /** The key that is to take the place of the present one: here before the hub hears of it, until it is in use. */
  readonly next?: NodeKeyPair;
}

/** What a HELLO brought, kept so that a restart can do without the registry. */
export interface Welcome {
  readonly userJwt: string;
  readonly userJwtExpiresAtMs: number;
  readonly natsUrls: readonly string[];
  readonly partition: number;
  readonly shard: number;
  readonly nodeToken: string;
  readonly nodeTokenExpiresAtMs: number;
  readonly org: string;
  readonly nodeName: string;
  /** JSON Web Key Set. */
  readonly trust: string;
  /** Of the node's key by which this HELLO was said; '' where an earlier release wrote this. */
  readonly publicKey: string;
  /** The version that node and hub speak. */
  readonly protocol: number;
  /** 0: the hub does not say. */
  readonly heartbeatMs: number;
  readonly livenessMs: number;
  /** This node is to take no new agents. */
  readonly draining: boolean;
}

/** What is not there in a file that an earlier release wrote, which spoke protocol 1. */
const OF_BEFORE = { publicKey: '', protocol: 1, heartbeatMs: 0, livenessMs: 0, draining: false };

/** Where local programs find the node. */
export interface NodeAddressFile {
  readonly address: string;
  readonly pid: number;
  readonly name: string;
  readonly node: string;
}

const IDENTITY = 'identity.json';
const WELCOME = 'welcome.json';
const ADDRESS = 'node.json';
const ADMIN_TOKEN = 'admin-token';

/** Undefined when there is none yet. Throws NODE_FILE_DAMAGED: without its key nobody can say who this node is. */
export function readIdentity(dir: string): NodeIdentity | undefined {
  const file = join(dir, IDENTITY);
  try {
    const texts = ['node', 'org', 'name', 'seed', 'publicKey', 'registry', 'agentSecret'] as const;
    const identity = readJson<NodeIdentity>(file, texts);
    if (identity !== undefined) checkLaterFields(identity);
    return identity;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new FleetwireError('failed_precondition', 'NODE_FILE_DAMAGED', `${file} cannot be read: ${why}`, {
      help: `Put back a copy of ${file}, or move the folder ${dir} away and join again with a new join token.`,
      details: { file },
      cause,
    });
  }
}

function checkLaterFields({ hubKey = '', next }: NodeIdentity): void {
  if (typeof hubKey !== 'string') throw new Error('its hubKey is no text');
  if (next === undefined) return;
  if (typeof next?.seed !== 'string' || typeof next.publicKey !== 'string')
    throw new Error('its next key is not whole');
}

export function writeIdentity(dir: string, identity: NodeIdentity): void {
  writePrivate(join(dir, IDENTITY), JSON.stringify(identity, null, 2));
}

/** Undefined also when it is damaged: the registry says it again. */
export function readWelcome(dir: string): Welcome | undefined {
  try {
    const welcome = readJson<Welcome>(join(dir, WELCOME), ['userJwt', 'nodeToken', 'trust']);
    return Array.isArray(welcome?.natsUrls) ? { ...OF_BEFORE, ...welcome } : undefined;
  } catch {
    return undefined;
  }
}

export function writeWelcome(dir: string, welcome: Welcome): void {
  writePrivate(join(dir, WELCOME), JSON.stringify(welcome, null, 2));
}

export function writeAddress(dir: string, address: NodeAddressFile): void {
  writePrivate(join(dir, ADDRESS), JSON.stringify(address, null, 2));
}

export function removeAddress(dir: string): void {
  rmSync(join(dir, ADDRESS), { force: true });
}

/** The admin token of this node: kept across starts, so that programs that hold it need not ask again. */
export function adminToken(dir: string, fresh: () => string): string {
  const file = join(dir, ADMIN_TOKEN);
  const present = readText(file)?.trim();
  if (present) return present;
  const token = fresh();
  writePrivate(file, `${token}\n`);
  return token;
}

/** Throws for what is no JSON object with these texts in it. */
function readJson<T>(file: string, texts: readonly (keyof T & string)[]): T | undefined {
  const content = readText(file);
  if (content === undefined) return undefined;
  const value = JSON.parse(content) as T | null;
  for (const key of texts) if (typeof value?.[key] !== 'string') throw new Error(`it has no ${key}`);
  return value as T;
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all, and on the disk when this returns: a crash or a power cut leaves the file as it was. */
function writePrivate(file: string, text: string): void {
  const dir = dirname(file);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const draft = `${file}.draft`;
  const handle = openSync(draft, 'w', 0o600);
  try {
    fchmodSync(handle, 0o600);
    writeFileSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(draft, file);
  syncFolder(dir);
}

/** So that the rename is on the disk too; not every platform lets a folder be opened. */
function syncFolder(dir: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(dir, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
