/** Contexts: which fabric the command line talks to, and with which key. One file each in the config folder. */

import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from '@fleetwire/config';
import { makePrivateFolder } from '@fleetwire/embedded';
import { FleetwireError, isName, nearestNames, printable } from '@fleetwire/kernel';

const address = z.string().min(1);
const contextShape = z.object({
  version: z.literal(1),
  name: z.string(),
  org: z.string(),
  /** gRPC addresses, host:port. */
  endpoints: z.object({ org: address, registry: address, router: address, delivery: address }),
  /** File with the API key, readable by its owner only. */
  api_key_file: z.string(),
});

export type Context = Readonly<z.output<typeof contextShape>>;

export const DEFAULT_CONTEXT = 'local';

const fileOf = (configFolder: string, name: string) => join(configFolder, 'contexts', `${name}.json`);

/** Throws `invalid_argument` INVALID_NAME. */
export function checkContextName(name: string): void {
  if (isName(name)) return;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_NAME',
    `"${printable(name)}" is not the name of a context`,
    { help: 'Use 1 to 50 letters, digits and hyphens.' },
  );
}

/** Names of all that are saved. */
export async function contextNames(configFolder: string): Promise<string[]> {
  const files = await readdir(join(configFolder, 'contexts')).catch(() => []);
  return files
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/** Writes the context so that it is either the old or the new one at any moment. */
export async function saveContext(configFolder: string, context: Context): Promise<void> {
  const file = fileOf(configFolder, context.name);
  makePrivateFolder(dirname(file));
  await writeFile(`${file}.new`, `${JSON.stringify(context, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Throws `failed_precondition`: CONTEXT_MISSING, CONTEXT_UNREADABLE; `invalid_argument` INVALID_NAME. */
export async function loadContext(configFolder: string, name: string): Promise<Context> {
  checkContextName(name);
  const file = fileOf(configFolder, name);
  try {
    return contextShape.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new FleetwireError(
        'failed_precondition',
        'CONTEXT_MISSING',
        name === DEFAULT_CONTEXT ? 'there is no fabric to talk to yet' : `there is no context "${name}"`,
        { help: missingHelp(name, await contextNames(configFolder)), cause },
      );
    const why = (cause as NodeJS.ErrnoException).code ?? 'not a context of this version';
    throw new FleetwireError('failed_precondition', 'CONTEXT_UNREADABLE', `cannot use ${file}: ${why}`, {
      help: 'End the fabric and start it again, which writes this file anew: fleetwire down, then fleetwire up.',
      cause,
    });
  }
}

function missingHelp(name: string, saved: readonly string[]): string {
  if (name === DEFAULT_CONTEXT || saved.length === 0) return 'Start one with: fleetwire up';
  const near = nearestNames(name, saved);
  if (near.length > 0) return `Did you mean ${near.join(' or ')}?`;
  return `There is: ${saved.join(', ')}. Another one comes with an invite, or of: fleetwire org create`;
}
