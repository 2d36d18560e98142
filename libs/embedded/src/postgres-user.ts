/** Under which user PostgreSQL runs: it refuses to run as root, so root lends it another user's ids. */

import { readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';

export interface UnixUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Users without rights that systems have, best first. */
const CANDIDATES = ['postgres', '_postgres', 'nobody'];

/**
 * Undefined for an ordinary user: then the server simply runs as that one. For root: the owner of the data that is
 * already there, else the first candidate. Throws POSTGRES_USER_MISSING.
 */
export function postgresUser(dataDir: string): UnixUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readUsers();
  const owner = statSync(dataDir, { throwIfNoEntry: false })?.uid;
  const found =
    (owner === undefined || owner === 0 ? undefined : users.find((user) => user.uid === owner)) ??
    CANDIDATES.map((name) => users.find((user) => user.name === name)).find((user) => user !== undefined);
  if (found !== undefined && found.uid > 0) return found;
  throw new FleetwireError(
    'failed_precondition',
    'POSTGRES_USER_MISSING',
    'PostgreSQL does not run as root, and there is no other user for it',
    { help: 'Run as an ordinary user, or create a system user named postgres.' },
  );
}

/** The first folder on the way to `path` that `user` may not pass; undefined when the way is free. */
export function blockedAt(path: string, user: UnixUser): string | undefined {
  const folders: string[] = [];
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    folders.unshift(folder);
    if (folder === dirname(folder)) break;
  }
  return folders.find((folder) => {
    const { uid, gid, mode } = statSync(folder);
    const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0;
    return ((mode >> shift) & 1) === 0;
  });
}

/** passwd(5); macOS keeps its system users there as well. */
function readUsers(): UnixUser[] {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map(([name, , uid, gid]) => ({ name: name!, uid: signed(uid!), gid: signed(gid!) }));
}

/** macOS writes nobody's id as -2. */
const signed = (text: string): number => Number(text) >>> 0;
