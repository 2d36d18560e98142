/** The data folder of the embedded PostgreSQL: made once, whole or not at all. */

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';
import { makeFolder } from './make-folder.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { UnixUser } from './postgres-user.ts';
import { blockedAt } from './postgres-user.ts';

export const SUPERUSER = 'fleetwire';

export interface Cluster {
  readonly dataDir: string;
  readonly password: string;
}

/** Makes `dir` if need be, passable for `user`. Throws FOLDER_UNREACHABLE when a folder above it is closed. */
export function prepareFolder(dir: string, user: UnixUser | undefined): void {
  makeFolder(dir);
  if (user === undefined) return;
  if (statSync(dir).uid === 0) chmodSync(dir, 0o711);
  const blocked = blockedAt(dir, user);
  if (blocked === undefined) return;
  throw new FleetwireError(
    'failed_precondition',
    'FOLDER_UNREACHABLE',
    `PostgreSQL runs as user ${user.name}, who may not pass ${blocked}`,
    {
      help: `Run: chmod o+x ${blocked}; or set FLEETWIRE_HOME to a folder that all may pass.`,
      details: { blocked },
    },
  );
}

/** The cluster in `dir`, made with initdb when there is none; a half-made one is thrown away. */
export async function ensureCluster(
  dir: string,
  binaries: PostgresBinaries,
  user: UnixUser | undefined,
): Promise<Cluster> {
  const dataDir = join(dir, 'data');
  const passwordFile = join(dir, 'password');
  if (existsSync(dataDir)) return { dataDir, password: readFileSync(passwordFile, 'utf8').trim() };
  const fresh = join(dir, 'data.new');
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) for (const path of [fresh, passwordFile]) chownSync(path, user.uid, user.gid);
  await initdb(binaries.initdb, fresh, passwordFile, user);
  renameSync(fresh, dataDir);
  return { dataDir, password };
}

async function initdb(
  binary: string,
  dataDir: string,
  passwordFile: string,
  user: UnixUser | undefined,
): Promise<void> {
  const login = ['--username', SUPERUSER, '--pwfile', passwordFile, '--auth', 'scram-sha-256'];
  const language = ['--encoding', 'UTF8', '--lc-messages=C', `--locale=${UTF8_LOCALE}`];
  const args = ['--pgdata', dataDir, ...login, ...language];
  const ids = user === undefined ? {} : { uid: user.uid, gid: user.gid };
  const child = spawn(binary, args, { cwd: dataDir, env: {}, stdio: ['ignore', 'pipe', 'pipe'], ...ids });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-4096);
    });
  const result = await new Promise<number | Error | null>((resolve) => {
    child.once('error', resolve);
    child.once('close', resolve);
  });
  if (result === 0) return;
  throw new FleetwireError('failed_precondition', 'POSTGRES_INIT_FAILED', `initdb failed\n${output.trim()}`, {
    cause: result instanceof Error ? result : undefined,
  });
}

/** A UTF-8 locale that is always there and sorts by code point. */
const UTF8_LOCALE = process.platform === 'darwin' ? 'C' : 'C.utf8';
