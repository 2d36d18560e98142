/** The command line in a fabric of separate processes: its documents, as an admin of the org. */

import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { childEnvironment } from '@fleetwire/config';
import type { SeparateFabric } from './separate-processes.ts';

const run = promisify(execFile);
const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));

/** Rejects when the command fails. */
export async function fleetwireIn(fabric: SeparateFabric) {
  const home = join(fabric.folder, 'home');
  await mkdir(join(home, 'config', 'contexts'), { recursive: true });
  const context = {
    version: 1,
    name: 'local',
    org: '',
    endpoints: fabric.addresses,
    api_key_file: join(fabric.folder, 'keys', 'first-api-key'),
  };
  await writeFile(join(home, 'config', 'contexts', 'local.json'), JSON.stringify(context));
  // The command line finds the nodes of this machine where it would have put them itself.
  await mkdir(join(home, 'data'));
  await symlink(join(fabric.folder, 'nodes'), join(home, 'data', 'nodes'));
  const env = childEnvironment({ FLEETWIRE_HOME: home });
  return async (...args: string[]) => {
    const { stdout } = await run(process.execPath, [CLI, ...args, '--json'], { env });
    return JSON.parse(stdout);
  };
}
