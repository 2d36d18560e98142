/** Access to an org as it is kept on this machine: the API key in a file of its own, and a context that names it. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makePrivateFolder } from '@fleetwire/embedded';
import { FleetwireError } from '@fleetwire/kernel';
import { type Context, checkContextName, contextNames, saveContext } from './context.ts';

const NAME_CHARS = 50;

export interface Access {
  /** Id of the org. */
  readonly org: string;
  readonly apiKey: string;
  /** Undefined: nobody said where the fabric is. Then only the key is kept. */
  readonly endpoints: Context['endpoints'] | undefined;
}

export interface SavedAccess {
  /** Undefined: there was nothing to make a context of. */
  readonly context: string | undefined;
  readonly keyFile: string;
}

/** Throws `invalid_argument` INVALID_NAME, `already_exists` CONTEXT_EXISTS: asked before a key is made that could be lost. */
export async function checkFreeContext(configFolder: string, name: string): Promise<void> {
  checkContextName(name);
  if (!(await contextNames(configFolder)).includes(name)) return;
  throw new FleetwireError('already_exists', 'CONTEXT_EXISTS', `there is a context "${name}" already`, {
    help: 'Give another name with --context-name.',
  });
}

/** Folders are made beforehand, so that what cannot be written is found out before there is a key. */
export function prepareAccess(configFolder: string): void {
  for (const folder of ['keys', 'contexts']) makePrivateFolder(join(configFolder, folder));
}

/** Keeps the key under `name`, or `name-2` and so on when that is taken: what is there is never overwritten. */
export async function saveAccess(configFolder: string, name: string, access: Access): Promise<SavedAccess> {
  checkContextName(name);
  prepareAccess(configFolder);
  const taken = await contextNames(configFolder);
  for (let attempt = 1; ; attempt++) {
    const free = attempt === 1 ? name : numbered(name, attempt);
    if (taken.includes(free)) continue;
    const keyFile = join(configFolder, 'keys', free);
    if (!(await writeNew(keyFile, `${access.apiKey}\n`))) continue;
    const { org, endpoints } = access;
    if (endpoints === undefined) return { context: undefined, keyFile };
    await saveContext(configFolder, { version: 1, name: free, org, endpoints, api_key_file: keyFile });
    return { context: free, keyFile };
  }
}

function numbered(name: string, attempt: number): string {
  const end = `-${attempt}`;
  return `${name.slice(0, NAME_CHARS - end.length)}${end}`;
}

/** False when the file is there already. */
async function writeNew(file: string, text: string): Promise<boolean> {
  try {
    await writeFile(file, text, { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
