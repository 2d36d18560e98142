/**
 * Files of our own; and those that people name: written whole or not at all, read within a bound; what goes wrong says
 * so by name.
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { FleetwireError, printable } from '@fleetwire/kernel';

const PRIVATE = 0o600;

/** A file of ours, readable by its owner only: it has the old text or the new one at any moment. */
export async function putFile(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: PRIVATE });
  await rename(`${file}.new`, file);
}

type Append = (text: string) => Promise<void>;

/**
 * What `work` appends is in the file, readable by its owner only, once it resolves; when it rejects, what was there
 * before still is. Pipes and devices are written to as they are. Rejects invalid_argument FILE_UNWRITABLE.
 */
export async function writeWhole<T>(file: string, work: (append: Append) => Promise<T>): Promise<T> {
  try {
    const target = await realpath(file).catch(ifMissing(file));
    const present = await stat(target).catch(ifMissing(undefined));
    if (present === undefined || present.isFile()) return await replace(target, present !== undefined, work);
    const handle = await open(target, 'w');
    return await through(handle, work);
  } catch (cause) {
    throw unwritable(file, cause);
  }
}

/** The error of the system as FILE_UNWRITABLE; any other as it is. */
export function unwritable(file: string, cause: unknown): unknown {
  const code = errorCode(cause);
  if (code === undefined) return cause;
  return new FleetwireError(
    'invalid_argument',
    'FILE_UNWRITABLE',
    `cannot write ${printable(file)}: ${code}`,
    {
      help: WRITE_HELP[code] ?? 'Name a file that you may write, on a disk with room.',
      cause,
    },
  );
}

const WRITE_HELP: Readonly<Record<string, string>> = {
  ENOENT: 'Its folder is not there: make it first, or name a file in another one.',
  ENOTDIR: 'What should be its folder is a file: name a file in another one.',
  EISDIR: 'This is a folder: name a file in it.',
};

/** Beside the target, under a name that nobody can have prepared, and then in its place. */
async function replace<T>(
  target: string,
  isThere: boolean,
  work: (append: Append) => Promise<T>,
): Promise<T> {
  if (isThere) await access(target, constants.W_OK);
  const part = `${target}.${randomBytes(6).toString('hex')}.part`;
  const handle = await open(part, 'wx', PRIVATE);
  try {
    const result = await through(handle, work, true);
    await rename(part, target);
    return result;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function through<T>(
  handle: FileHandle,
  work: (append: Append) => Promise<T>,
  sync = false,
): Promise<T> {
  try {
    const result = await work((text) => handle.writeFile(text));
    if (sync) await handle.sync();
    return result;
  } finally {
    await handle.close();
  }
}

/** The text of a file or pipe. Rejects invalid_argument: FILE_UNREADABLE, FILE_TOO_LARGE above `maxBytes`. */
export async function readText(file: string, maxBytes: number): Promise<string> {
  try {
    const present = await stat(file);
    if (!present.isFile() && !present.isFIFO()) throw unreadable(file, 'it is neither a file nor a pipe');
    const handle = await open(file);
    try {
      return await boundedText(handle, file, maxBytes);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw cause instanceof FleetwireError
      ? cause
      : unreadable(file, errorCode(cause) ?? String(cause), cause);
  }
}

/** As `readText`; undefined where there is no such file. */
export async function textIfThere(file: string, maxBytes: number): Promise<string | undefined> {
  try {
    return await readText(file, maxBytes);
  } catch (error) {
    if (error instanceof FleetwireError && errorCode(error.cause) === 'ENOENT') return undefined;
    throw error;
  }
}

async function boundedText(handle: FileHandle, file: string, maxBytes: number): Promise<string> {
  const bytes = Buffer.alloc(maxBytes + 1);
  for (let size = 0; ; ) {
    const { bytesRead } = await handle.read(bytes, size, bytes.length - size, null);
    if (bytesRead === 0) return bytes.toString('utf8', 0, size);
    size += bytesRead;
    if (size > maxBytes)
      throw new FleetwireError(
        'invalid_argument',
        'FILE_TOO_LARGE',
        `${printable(file)} has more than ${maxBytes} bytes`,
        { help: 'Is it the right file?' },
      );
  }
}

const unreadable = (file: string, why: string, cause?: unknown) =>
  new FleetwireError('invalid_argument', 'FILE_UNREADABLE', `cannot read ${printable(file)}: ${why}`, {
    help: 'Name a file that is there and that you may read.',
    cause,
  });

/** Only a missing file is answered with `value`. */
function ifMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (errorCode(error) === 'ENOENT') return value;
    throw error;
  };
}

function errorCode(error: unknown): string | undefined {
  if (error instanceof FleetwireError || !(error instanceof Error)) return undefined;
  const { code, syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? undefined : code;
}
