/** The context that commands use when none is named: what `org use` has chosen. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateFolder } from '@fleetwire/embedded';
import { checkContextName } from './context.ts';
import { putFile } from './files.ts';

const fileOf = (configFolder: string) => join(configFolder, 'current-context');

/** Undefined: none was chosen. */
export function chosenContext(configFolder: string): string | undefined {
  try {
    return readFileSync(fileOf(configFolder), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Throws `invalid_argument` INVALID_NAME. */
export async function chooseContext(configFolder: string, name: string): Promise<void> {
  checkContextName(name);
  const file = fileOf(configFolder);
  makePrivateFolder(configFolder);
  await putFile(file, `${name}\n`);
}
