/** What SQLite says about a damaged or unusable file, as an error that names the file and what to do. */

import { join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';

/** SQLITE_ERROR (a table or column is missing), SQLITE_CORRUPT, SQLITE_FORMAT, SQLITE_NOTADB: https://sqlite.org/rescode.html. */
const DAMAGED: readonly number[] = [1, 11, 24, 26];

/** While the store of `dir` is opened: gives what is to be thrown, which is `thrown` itself when it is not of SQLite. */
export function storeFault(thrown: unknown, dir: string): unknown {
  const code = sqliteCode(thrown);
  if (code === undefined) return thrown;
  const file = join(dir, 'node.db');
  const message = innermost(thrown);
  if (!DAMAGED.includes(code))
    return new FleetwireError('unavailable', 'NODE_STORE_FAILED', `${file} cannot be opened: ${message}`, {
      help: 'Look at the permissions of the file and its folder, and at the space on the disk.',
      cause: thrown,
    });
  return new FleetwireError('data_loss', 'NODE_STORE_DAMAGED', `${file} is damaged: ${message}`, {
    help:
      `Put back a copy of ${file}, or move it away together with its -wal and -shm files and start again: ` +
      'the node stays who it is, mail that was waiting in the file is lost.',
    details: { file },
    cause: thrown,
  });
}

/** SQLite's primary result code, of the error or of what caused it. */
function sqliteCode(thrown: unknown): number | undefined {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    const { code, errcode } = error as { code?: unknown; errcode?: unknown };
    if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') return errcode & 0xff;
  }
  return undefined;
}

function innermost(thrown: unknown): string {
  let error = thrown as Error;
  while (error.cause instanceof Error) error = error.cause;
  return error.message;
}
