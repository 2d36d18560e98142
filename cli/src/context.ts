/** Contexts: which fabric the command line talks to, and with which key. One file each in the config folder. */

import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from '@fleetwire/config';
import { makePrivateFolder } from '@fleetwire/embedded';
import { type ErrorExtras, FleetwireError, isName, nearestNames, printable } from '@fleetwire/kernel';
import { putFile } from './files.ts';

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

/** What there is to do on a machine that knows of no fabric. */
export const NEW_HERE =
  'Start one with: fleetwire up; or join one elsewhere, with this machine: fleetwire cluster join HOST:PORT --token TOKEN, ' +
  'as a person: fleetwire invite accept LINK';

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
  await putFile(file, `${JSON.stringify(context, null, 2)}\n`);
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
        ...missing(name, await contextNames(configFolder), cause),
      );
    const why = (cause as NodeJS.ErrnoException).code ?? 'not a context of this version';
    throw new FleetwireError('failed_precondition', 'CONTEXT_UNREADABLE', `cannot use ${file}: ${why}`, {
      help: 'End the fabric and start it again, which writes this file anew: fleetwire down, then fleetwire up.',
      cause,
    });
  }
}

function missing(name: string, saved: readonly string[], cause: unknown): [string, ErrorExtras] {
  const none = `there is no context "${name}"`;
  if (saved.length === 0)
    return [name === DEFAULT_CONTEXT ? 'there is no fabric to talk to yet' : none, { help: NEW_HERE, cause }];
  const near = name === DEFAULT_CONTEXT ? [] : nearestNames(name, saved);
  const meant = near.length > 0 ? `Did you mean ${near.join(' or ')}? ` : '';
  const more =
    name === DEFAULT_CONTEXT
      ? 'Choose one with: fleetwire org use CONTEXT; or start a fabric of this machine with: fleetwire up'
      : 'Another one comes with an invite, or of: fleetwire org create';
  return [none, { help: `${meant}There is: ${saved.join(', ')}. ${more}`, cause }];
}
