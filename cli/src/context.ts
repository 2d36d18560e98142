/** Contexts: which fabric the command line talks to, and with which key. One file each in the config folder. */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetwireError, isName } from '@fleetwire/kernel';

export interface Context {
  readonly version: 1;
  readonly name: string;
  readonly org: string;
  /** gRPC addresses, host:port. */
  readonly endpoints: {
    readonly org: string;
    readonly registry: string;
    readonly router: string;
    readonly delivery: string;
  };
  /** File with the API key, readable by its owner only. */
  readonly api_key_file: string;
}

export const DEFAULT_CONTEXT = 'local';

const fileOf = (configFolder: string, name: string) => join(configFolder, 'contexts', `${name}.json`);

/** Writes the context so that it is either the old or the new one at any moment. */
export async function saveContext(configFolder: string, context: Context): Promise<void> {
  const file = fileOf(configFolder, context.name);
  await mkdir(join(configFolder, 'contexts'), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, `${JSON.stringify(context, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Throws `failed_precondition`: CONTEXT_MISSING, CONTEXT_UNREADABLE. */
export async function loadContext(configFolder: string, name: string): Promise<Context> {
  if (!isName(name))
    throw new FleetwireError('invalid_argument', 'INVALID_NAME', `"${name}" is not the name of a context`);
  const file = fileOf(configFolder, name);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new FleetwireError(
      'failed_precondition',
      'CONTEXT_MISSING',
      `there is no fabric to talk to (context "${name}")`,
      {
        help: 'Start one with: fleetwire up',
        cause,
      },
    );
  }
  try {
    const context = JSON.parse(text) as Context;
    if (context.version !== 1 || typeof context.endpoints?.registry !== 'string')
      throw new Error('fields are missing');
    return context;
  } catch (cause) {
    throw new FleetwireError(
      'failed_precondition',
      'CONTEXT_UNREADABLE',
      `${file} is not a context of this version`,
      {
        help: 'Run `fleetwire up` again, which writes it anew.',
        cause,
      },
    );
  }
}
