/** Writing secrets to disk: whole or not at all, for their owner only, and never over what is there. */

import { randomUUID } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export async function makeKeyFolder(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
}

export async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** What the files of JSON hold: for people to read as well. */
export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** False when the file is there already, which is then left alone. */
export async function writeOnce(file: string, text: string): Promise<boolean> {
  const fresh = await writeBeside(file, text);
  try {
    await link(fresh, file);
    await syncFolder(dirname(file));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(fresh, { force: true });
  }
}

/** For files that are made from the others and may be made again. */
export async function replace(file: string, text: string): Promise<void> {
  await rename(await writeBeside(file, text), file);
  await syncFolder(dirname(file));
}

async function writeBeside(file: string, text: string): Promise<string> {
  const fresh = `${file}.${randomUUID()}.new`;
  const handle = await open(fresh, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return fresh;
}

/** So that a name survives a power cut as well. */
async function syncFolder(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
